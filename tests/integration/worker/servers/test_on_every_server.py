"""What users do, on each server that the emulator has a profile of.

A job succeeds with all that it was given, or fails and says what its server lacks. It never succeeds without it.
"""

import asyncio
from pathlib import Path

import pytest
from tests.integration.worker.servers.endpoints import CHAT_SERVERS, ENDPOINTS, KEY

from threadmill import Client, FailureKind, InvalidJob, JobState
from threadmill.job.events.event import EventKind
from threadmill_emulator.runs.replies import PNG
from threadmill_worker.admin.probe import probe

pytestmark = pytest.mark.integration

#: Calls of a plain job, the first of a worker, at most. vLLM refuses `background` first.
CALLS = {"litellm-bridge": 2, "litellm-polling": 3, "ogx": 3, "vllm": 3, "ollama": 2, "open-assistant-api": 6}
CALLS |= dict.fromkeys(CHAT_SERVERS, 1)

FINDABLE = ("ogx", "open-assistant-api")  #: where a run can be found whose start had no reply
SEARCHING = ("ogx",)  #: where files can be searched

#: LiteLLM answers 500, as for trouble that passes: "files_settings is not set, set it on your config.yaml file."
UNSEARCHED = dict.fromkeys(("litellm-bridge", "litellm-polling"), FailureKind.SERVER_ERROR)

SECRET = "The heron is called Ottilie."
NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
IN_JSON = {"type": "json_schema", "json_schema": {"name": "n", "schema": NUMBER}}


@pytest.fixture
def policy(tmp_path: Path) -> str:
    (tmp_path / "policy.txt").write_text("Travel is booked a week ahead. Meals are covered up to 40 euros.")
    return str(tmp_path / "policy.txt")


@pytest.fixture
def photo(tmp_path: Path) -> str:
    (tmp_path / "photo.png").write_bytes(PNG)
    return str(tmp_path / "photo.png")


@pytest.fixture
async def worker_that_knows(worker, emulator):
    """A worker that has learnt from a first job how the server works."""
    await worker.run("Hello")
    emulator.emulator.reset()
    return worker


async def test_doctor_finds_the_api(server, settings, emulator):
    detail = await probe(settings, "emulator")

    assert detail.endswith(f"speaks the {ENDPOINTS[server]['kind']} API")
    assert (emulator.created(), emulator.left()) == (0, {})


async def test_a_plain_job(server, worker, emulator):
    result = await worker.run("[[run_s=0.01]]Why is the sky blue?")

    assert (result.state, result.failure) == (JobState.SUCCEEDED, None)
    assert "Why is the sky blue?" in result.text
    assert len(emulator.requests) <= CALLS[server]
    assert (emulator.created(), emulator.left()) == (1, {})


async def test_two_rounds_of_tools(worker, emulator):
    result = await worker.run("[[scenario=tool_rounds n=2 tool=beat]]Well?", tools=["beat"])

    assert (result.state, result.failure, result.runs) == (JobState.SUCCEEDED, None, 1)
    assert result.text.count("> beaten") == 2
    assert emulator.left() == {}


async def test_calls_of_tools_that_come_in_a_stream(worker, emulator):
    result = await worker.run("[[scenario=tool_rounds n=2 calls=2 tool=beat]]Well?", tools=["beat"], stream=True)

    assert (result.state, result.failure) == (JobState.SUCCEEDED, None)
    assert result.text.count("> beaten") == 4
    assert emulator.left() == {}


async def test_an_answer_in_json(server, worker, emulator):
    result = await worker.run("How many?", response_format=IN_JSON)

    if server in ("open-assistant-api", "anthropic"):  # they ignore the schema
        assert result.failure.kind is FailureKind.INVALID_ANSWER
    else:
        assert isinstance(result.parsed["n"], int)
    assert emulator.left() == {}


async def test_an_image_is_seen(server, worker, emulator, photo):
    result = await worker.run("What is this?", images=[photo])

    if server == "llama.cpp":  # its model reads text alone
        assert "image input is not supported" in result.failure.message
    else:
        assert "image/png" in result.text
    assert emulator.left() == {}


async def test_a_file_is_searched_or_refused(server, worker, emulator, policy):
    asked = {"prompt": "[[scenario=citations]]Meals are covered up to what?", "files": [policy]}
    if server in CHAT_SERVERS:
        with pytest.raises(InvalidJob, match="files"):
            worker.create(**asked)
        return
    result = await worker.run(**asked)

    if server in SEARCHING:
        assert "40 euros" in result.text
        assert [citation.name for citation in result.citations] == ["policy.txt"]
    else:
        assert result.failure.kind is UNSEARCHED.get(server, FailureKind.UNSUPPORTED)
        assert not result.text
    assert emulator.left() == {}


async def test_a_follow_up_knows_what_was_said_before(worker, emulator):
    first = await worker.run(SECRET, keep_thread=True)
    second = await worker.run("[[scenario=recall]]What is it called?", thread=first.thread_id)

    assert (second.state, second.thread_id) == (JobState.SUCCEEDED, first.thread_id)
    assert SECRET in second.text
    worker.client.delete_thread(first.thread_id)
    await worker.process.clean_up()
    assert emulator.left() == {}


@pytest.mark.parametrize("thread", ["resp_of_elsewhere", "conv_of_elsewhere", "thread_of_elsewhere"])
async def test_a_thread_that_the_server_does_not_know_is_not_passed_over(thread, worker, emulator):
    result = await worker.run("[[scenario=recall]]What is it called?", thread=thread)

    assert result.state is JobState.FAILED
    assert emulator.left() == {}


async def test_a_job_is_cancelled_while_it_runs(worker_that_knows, emulator, until):
    worker = worker_that_knows
    job_id = worker.create("[[run_s=60]]Why?")
    running = asyncio.create_task(worker.see_through(job_id))
    await asyncio.to_thread(until, emulator.created)
    await asyncio.to_thread(worker.client.cancel, job_id)

    assert (await running).state is JobState.CANCELLED
    assert (emulator.created(), emulator.left()) == (1, {})


async def test_the_deadline_ends_a_job_that_runs(worker_that_knows, emulator):
    result = await worker_that_knows.run("[[run_s=60]]Why?", timeout_s=1)

    assert result.failure.kind is FailureKind.OVERDUE
    assert (emulator.created(), emulator.left()) == (1, {})


async def test_a_stream_is_followed(server, worker, emulator):
    job_id = worker.create("[[run_s=0.2]]Why is the sky blue?", stream=True)
    follower = worker.client.follow(job_id, timeout_s=30)
    await asyncio.to_thread(next, follower)
    following = asyncio.create_task(asyncio.to_thread(list, follower))
    result, events = await worker.see_through(job_id), await following

    assert "Why is the sky blue?" in result.text
    assert "".join(event.text for event in events if event.kind is EventKind.TEXT) == result.text
    began = [request.json for request in emulator.requests if request.method == "POST"][-1]
    assert began.get("stream", False) is (server != "ogx"), "OGX refuses streams in the background, not the background"
    assert (emulator.created(), emulator.left()) == (1, {})


def test_a_batch_outlives_its_worker(server, settings, emulator, start_worker, until):
    client, worker = Client(settings), start_worker(settings, **KEY)
    prompts = [f"[[run_s=0.5]]Question {number}" for number in range(6)]
    jobs = client.enqueue_many({"prompt": prompt, "timeout_s": 60} for prompt in prompts)
    until(lambda: emulator.created() == len(jobs))
    worker.kill()
    start_worker(settings, **KEY)
    results = [job.wait(60) for job in jobs]

    assert [result.state for result in results] == [JobState.SUCCEEDED] * 6
    assert all(f"Question {number}" in result.text for number, result in enumerate(results))
    lost = sum(result.lost_runs for result in results)
    assert emulator.created() == 6 + lost
    assert lost == 0 or server not in FINDABLE
    until(lambda: sum(emulator.left().values()) <= lost)


async def test_a_run_that_fails(server, worker, emulator):
    result = await worker.run("[[scenario=failed]]Why?")

    assert result.failure.kind is FailureKind.SERVER_ERROR
    if server not in CHAT_SERVERS:  # where the reply is an error, as of a server that is away
        assert (emulator.created(), result.runs) == (2, 2)
    assert emulator.left() == {}


async def test_a_run_that_hits_a_rate_limit(server, worker, emulator):
    result = await worker.run("[[scenario=rate_limited]]Why?", timeout_s=6)

    assert result.failure.kind is FailureKind.OVERDUE
    assert "it waited " in result.failure.message
    assert server in CHAT_SERVERS or result.runs > 1
    assert emulator.left() == {}


async def test_a_refusal_for_the_rate_is_waited_out(worker, emulator):
    emulator.faults(rate_limit_429=1, times=1, retry_after_s=0.1)
    result = await worker.run("Why?")

    assert "Why?" in result.text
    assert (emulator.created(), emulator.left()) == (1, {})
