"""What users do, on each server of Chat Completions that the emulator has a profile of, with the settings of the kind.

A job succeeds with all that it was given, or fails and says what its server lacks.
"""

import asyncio
from typing import Any

import pytest

from threadmill import FailureKind, JobState
from threadmill.job.events import EventKind
from threadmill_emulator.http.endpoint import AZURE_V1_PATH
from threadmill_emulator.runs.replies import PNG
from threadmill_worker.admin.probe import probe

TOOLS = {"beat": "tests.integration.worker.test_on_every_chat_server:beat"}

pytestmark = [pytest.mark.integration, pytest.mark.settings(tools=TOOLS)]

CHAT: dict[str, Any] = {"kind": "chat", "model": "emulator-1"}

#: Servers, and what their jobs need besides `kind`. Anthropic's ignores `response_format`.
ENDPOINTS: dict[str, dict[str, Any]] = {
    "vllm-chat": CHAT,
    "llama.cpp": CHAT,
    "ollama-chat": CHAT,
    "gemini": CHAT,
    "anthropic": CHAT | {"supports": {"json_schema": False}},
}

NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
IN_JSON = {"type": "json_schema", "json_schema": {"name": "n", "schema": NUMBER}}


def beat() -> str:
    return "beaten"


@pytest.fixture(scope="module", params=ENDPOINTS)
def server(request):
    return request.param


@pytest.fixture(scope="module")
def shared_emulator(server, emulate):
    with emulate(like=server) as emulated:
        yield emulated


@pytest.fixture
def emulator(shared_emulator):
    shared_emulator.emulator.reset()
    shared_emulator.requests.clear()
    return shared_emulator


@pytest.fixture
def settings(request, server, emulator, make_settings, tmp_path):
    more = request.node.get_closest_marker("settings").kwargs
    url = emulator.url + AZURE_V1_PATH
    return make_settings(url, ENDPOINTS[server], file_roots=(tmp_path,), lease_s=1, sweep_interval_s=0.5, **more)


def bodies(emulator):
    return [each.json for each in emulator.sent("POST", "/chat/completions")]


async def test_doctor_finds_the_api(settings, emulator):
    assert (await probe(settings, "emulator")).endswith("speaks the chat API")
    assert emulator.created() == 0


async def test_a_plain_job(worker, emulator):
    result = await worker.run("[[run_s=0.01]]Why is the sky blue?", instructions="Be kind.")

    assert (result.state, result.failure) == (JobState.SUCCEEDED, None)
    assert "Why is the sky blue?" in result.text
    assert (result.calls, result.usage.total_tokens > 0) == (1, True)


@pytest.mark.parametrize("stream", [False, True])
async def test_rounds_of_tools(stream, worker, emulator):
    prompt = "[[scenario=tool_rounds n=2 tool=beat run_s=0.1]]Well?"
    result = await worker.run(prompt, tools=["beat"], stream=stream, include_steps=True)

    assert (result.state, result.failure, result.runs) == (JobState.SUCCEEDED, None, 1)
    assert result.text.count("> beaten") == 2
    assert [step["output"] for step in result.steps if step["type"] == "function"] == ["beaten"] * 2
    assert len(bodies(emulator)) == 3


@pytest.mark.parametrize("stream", [False, True])
async def test_tools_at_the_same_time(stream, worker):
    result = await worker.run("[[scenario=tools calls=3 tool=beat]]Well?", tools=["beat"], stream=stream)
    assert (result.failure, result.text.count("> beaten")) == (None, 3)


async def test_an_answer_in_json(server, worker):
    result = await worker.run("How many?", response_format=IN_JSON)

    if server == "anthropic":
        assert result.failure.kind is FailureKind.INVALID_ANSWER
    else:
        assert isinstance(result.parsed["n"], int)


async def test_an_image_is_seen_or_refused(server, worker, tmp_path):
    (tmp_path / "photo.png").write_bytes(PNG)
    result = await worker.run("What is this?", images=[str(tmp_path / "photo.png")])

    if server == "llama.cpp":
        assert result.failure.kind in (FailureKind.REJECTED, FailureKind.SERVER_ERROR)
        assert "image" in result.failure.message
    else:
        assert "image/png" in result.text


async def test_all_options_at_once(worker, emulator):
    """A server that refuses one of them is asked without it."""
    options = {"temperature": 0.5, "top_p": 0.9, "seed": 7, "max_completion_tokens": 500, "stream": True}
    result = await worker.run("Why?", tools=["beat"], parallel_tool_calls=False, **options)

    assert (result.failure, "Why?" in result.text) == (None, True)
    assert bodies(emulator)[-1]["max_tokens"] == 500


async def test_the_limit_of_tokens_cuts_the_answer(worker):
    result = await worker.run("[[scenario=incomplete]]Why?", max_completion_tokens=5)
    assert result.failure.kind is FailureKind.INCOMPLETE


async def test_reasoning_is_a_step_and_no_part_of_the_answer(server, worker, emulator):
    result = await worker.run("[[scenario=reasoning]]Why is the sky blue?", include_steps=True, stream=True)

    assert "Why is the sky blue?" in result.text
    shows = {"vllm-chat", "llama.cpp", "ollama-chat"}
    assert ("reasoning" in [step["type"] for step in result.steps]) is (server in shows)


async def test_a_stream_is_followed(worker):
    job_id = worker.create("[[run_s=0.3]]Why is the sky blue?", stream=True)
    follower = worker.client.follow(job_id, timeout_s=30)
    await asyncio.to_thread(next, follower)
    following = asyncio.create_task(asyncio.to_thread(list, follower))
    result, events = await worker.see_through(job_id), await following

    assert "Why is the sky blue?" in result.text
    assert "".join(event.text for event in events if event.kind is EventKind.TEXT) == result.text
    assert result.usage.total_tokens > 0


async def test_the_end_of_a_job_stops_the_work_of_the_server(worker, emulator, until):
    result = await worker.run("[[run_s=60]]Why?", timeout_s=0.5)

    assert result.failure.kind is FailureKind.OVERDUE
    await asyncio.to_thread(until, lambda: emulator.stats()["completions"]["by_status"] == {"hung_up": 1})
