"""Jobs on servers that have Chat Completions and nothing else: a run is one call, of which the server keeps nothing."""

import asyncio

import pytest
from tests.emulated import CHAT

from threadmill import FailureKind, JobState
from threadmill_emulator.runs.replies import PNG
from threadmill_worker.attempt import attempts
from threadmill_worker.process import WorkerProcess

pytestmark = [pytest.mark.integration, pytest.mark.endpoint(**CHAT)]

BEATS: list[str] = []


def beaten() -> str:
    """A tool that counts its calls."""
    BEATS.append("beat")
    return "beaten"


TOOLS = pytest.mark.settings(tools={"beaten": f"{__name__}:beaten"})


@pytest.fixture(autouse=True)
def _no_beats() -> None:
    BEATS.clear()


def bodies(emulator):
    return [each.json for each in emulator.sent("POST", "/chat/completions")]


async def test_a_job_is_one_call_with_nothing_to_delete(worker, emulator):
    result = await worker.run("Well?", metadata={"a": "b"})

    assert (result.ok, result.calls, result.runs, result.lost_runs) == (True, 1, 1, 0)
    assert result.usage.total_tokens > 0
    assert [each.path for each in emulator.requests] == ["/chat/completions"]
    assert emulator.left() == {}


async def test_every_option_of_a_job_reaches_its_call(worker, emulator):
    tool = {"type": "function", "function": {"name": "weigh", "parameters": {"type": "object", "properties": {}}}}
    options = {
        "model": "emulator-1",
        "tools": [tool],
        "tool_choice": "none",
        "response_format": {"type": "json_object"},
        "temperature": 0.0,
        "top_p": 0.5,
        "parallel_tool_calls": False,
        "seed": 7,
        "service_tier": "priority",
    }
    result = await worker.run(
        "Well? In JSON.",
        instructions="Be brief.",
        additional_instructions="Be kind.",
        max_completion_tokens=500,
        metadata={"order": "4711"},
        **options,
    )

    assert (result.state, result.metadata) == (JobState.SUCCEEDED, {"order": "4711"})
    [body] = bodies(emulator)
    assert body == options | {
        "messages": [
            {"role": "system", "content": "Be brief.\nBe kind."},
            {"role": "user", "content": "Well? In JSON."},
        ],
        "max_tokens": 500,
    }


@TOOLS
async def test_each_round_of_tools_sends_all_messages(worker, emulator):
    result = await worker.run("[[scenario=tool_rounds run_s=0]]Well?", tools=["beaten"], instructions="Be kind.")

    assert result.ok
    sent = bodies(emulator)
    assert [each["role"] for each in sent[-1]["messages"]] == [
        "system",
        "user",
        *["assistant", "tool"] * (len(sent) - 1),
    ]
    assert (result.calls, result.runs, len(BEATS)) == (len(sent), 1, len(sent) - 1)


async def test_a_thread_that_no_job_kept_cannot_be_continued(worker, emulator):
    result = await worker.run("Well?", thread="local_unknown")

    assert result.failure.kind is FailureKind.REJECTED
    assert "the messages of thread local_unknown are not in Redis" in result.failure.message
    assert emulator.requests == []


@pytest.mark.parametrize(
    ("scenario", "kind", "says"),
    [
        ("quota", FailureKind.QUOTA, "exceeded your current quota"),
        ("invalid_prompt", FailureKind.INVALID_PROMPT, ""),
        ("failed", FailureKind.SERVER_ERROR, "no usable reply for"),
    ],
)
@pytest.mark.endpoint(unreachable_limit_s=0.5)
async def test_a_call_that_the_server_refuses_is_no_run(scenario, kind, says, worker):
    result = await worker.run(f"[[scenario={scenario} run_s=0]]Well?")

    assert result.failure.kind is kind
    assert says in result.failure.message
    assert (result.runs, result.lost_runs) == (0, 0)


@pytest.mark.parametrize("scenario", ["failed_once", "rate_limited times=1"])
async def test_a_call_is_repeated_after_an_error_of_the_server(scenario, worker):
    result = await worker.run(f"[[scenario={scenario} run_s=0]]Well?")
    assert (result.ok, result.calls, result.runs, result.lost_runs) == (True, 2, 1, 0)


@TOOLS
async def test_a_job_handed_back_during_a_call_makes_it_again(worker, emulator, until, monkeypatch):
    monkeypatch.setattr(attempts, "LANDING_S", 0.1)
    job = worker.create("[[scenario=tools run_s=2]]Well?", tools=["beaten"])
    running = asyncio.create_task(worker.process.run(job, None))
    await asyncio.to_thread(until, lambda: bodies(emulator))
    await worker.process.close()
    await running
    assert worker.record(job).state is JobState.QUEUED
    worker.process = WorkerProcess(worker.settings)
    result = await worker.see_through(job)

    assert (result.ok, result.attempts, result.runs, result.lost_runs, BEATS) == (True, 1, 1, 1, ["beat"])


async def test_an_image_is_sent_as_a_data_url(worker, emulator, tmp_path):
    (tmp_path / "photo.png").write_bytes(PNG)
    settings = worker.settings.model_copy(update={"file_roots": (tmp_path,)})
    result = await type(worker)(settings).run("What is this?", images=[str(tmp_path / "photo.png")])

    assert result.ok
    [body] = bodies(emulator)
    assert body["messages"][0]["content"][1]["image_url"]["url"].startswith("data:image/png;base64,")


@pytest.mark.endpoint(supports={"json_schema": False})
async def test_a_schema_in_words_is_checked_all_the_same(worker, emulator):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    result = await worker.run('[[scenario=echo]]{"n": 3}', response_format=form)

    assert result.parsed == {"n": 3}
    [body] = bodies(emulator)
    assert "response_format" not in body
    assert '"required": ["n"]' in body["messages"][0]["content"]
