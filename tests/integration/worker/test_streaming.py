"""Followers receive text while it is written; the job succeeds whatever happens to its stream."""

import asyncio
import json
import time

import pytest
from tests.conftest import marked
from tests.emulated import CHAT, WIRES
from tests.follower import Follower

from threadmill import EventKind, FailureKind, JobState, WaitTimeout
from threadmill.secrets.redaction import REDACTOR
from threadmill_emulator.http.endpoint import AZURE_V1_PATH

pytestmark = pytest.mark.integration

TEXT = "All work and no play makes Jack a dull boy. " * 10
NO_STREAMS = frozenset({"streaming"})
BROKEN = ["stream_json", "stream_drops", "stream_no_done", "stream_flat_error", "stream_error"]


def asked(**markers: object) -> str:
    """A prompt whose answer is TEXT."""
    return f"[[scenario=echo {' '.join(f'{name}={value}' for name, value in markers.items())}]]{TEXT}"


#: On Chat Completions, a run ends with its stream.
ALL = WIRES | {"chat": CHAT}


@pytest.fixture(params=WIRES)
def wire(request):
    return request.param


@pytest.fixture
def settings(wire, request, make_settings, base_url):
    return make_settings(base_url, ALL[wire] | marked(request, "endpoint"))


on_all_wires = pytest.mark.parametrize("wire", ALL, indirect=True)
only_assistants = pytest.mark.parametrize("wire", ["assistants"], indirect=True)


def started(emulator) -> list:
    """What asked for a run, a response or a completion."""
    return [each for path in ("/runs", "/responses", "/chat/completions") for each in emulator.sent("POST", path)]


def ends(emulator) -> dict[str, int]:
    """Runs and responses by their last status."""
    stats = emulator.stats()
    return stats["runs"]["by_status"] | stats["responses"]["by_status"]


@on_all_wires
async def test_text_arrives_as_it_is_written_and_polls_are_rare(wire, worker, emulator, client):
    job_id = worker.create(asked(deltas=40, run_s=2.5), stream=True)
    follower = Follower(client, job_id)
    result = await worker.see_through(job_id)
    await asyncio.to_thread(follower.join)

    assert (result.state, result.text) == (JobState.SUCCEEDED, TEXT)
    assert follower.text == TEXT
    assert len(follower.of(EventKind.TEXT)) >= 4
    assert [message.text for message in follower.of(EventKind.MESSAGE)] == [TEXT]
    assert [event.state for event in follower.of(EventKind.STATE)] == ["queued", "running", "succeeded"]
    statuses = ["completed"] if wire == "chat" else ["queued", "completed"]
    assert [event.status for event in follower.of(EventKind.RUN)] == statuses
    if wire == "chat":
        assert [request.method for request in emulator.requests] == ["POST"]
    elif wire == "assistants":
        assert emulator.stats()["calls"]["runs.retrieve"] == 1
    else:  # the stream's last event holds the answer
        assert [request.method for request in emulator.requests] == ["POST", "DELETE"]
    assert result.calls == len(emulator.requests)
    assert emulator.left() == {}


@on_all_wires
async def test_a_late_follower_receives_the_text_so_far(worker, client, until):
    job_id = worker.create(asked(deltas=40, run_s=3), stream=True)
    running = asyncio.create_task(worker.see_through(job_id))
    await asyncio.sleep(1.2)
    follower = Follower(client, job_id)
    await asyncio.to_thread(until, lambda: follower.text)
    second = Follower(client, job_id)
    await running

    assert len(follower.of(EventKind.TEXT)[0].text) > 2 * len(TEXT) / 40, "what was written before, in one piece"
    assert (await asyncio.to_thread(follower.join)).text == TEXT
    assert (await asyncio.to_thread(second.join)).text == TEXT


@on_all_wires
async def test_followers_of_an_ended_job_receive_what_is_kept(worker, client, store, keys):
    job_id = worker.create(asked(deltas=10), stream=True)
    await worker.see_through(job_id)
    assert not store.exists(keys.live(job_id)), "nobody followed: nothing was published"

    events = list(client.follow(job_id, timeout_s=0))
    assert "".join(event.text for event in events if event.kind is EventKind.TEXT) == TEXT
    assert events[-1].state is JobState.SUCCEEDED


async def test_published_events_expire_with_their_job(worker, client, store, keys):
    job_id = worker.create(asked(deltas=20, run_s=1.5), stream=True)
    follower = Follower(client, job_id)
    await worker.see_through(job_id)
    await asyncio.to_thread(follower.join)

    assert 0 < store.ttl(keys.live(job_id)) <= store.ttl(keys.record(job_id))
    assert {fields["kind"] for _, fields in store.xrange(keys.live(job_id))} == {"run", "message"}


async def test_a_follower_that_dies_costs_the_job_nothing(worker, client, store, keys):
    job_id = worker.create(asked(deltas=40, run_s=2.5), stream=True)
    running = asyncio.create_task(worker.see_through(job_id))
    with pytest.raises(WaitTimeout):
        await asyncio.to_thread(lambda: list(client.follow(job_id, timeout_s=1.5)))
    store.delete(keys.followed(job_id))  # as when it expires
    result = await running

    assert (result.state, result.text) == (JobState.SUCCEEDED, TEXT)
    assert (await asyncio.to_thread(Follower(client, job_id).join)).text == TEXT


@pytest.mark.parametrize("quirk", BROKEN)
async def test_a_stream_that_breaks_or_lies_is_made_up_for_by_polling(worker, emulator, client, quirk):
    job_id = worker.create(asked(deltas=20, run_s=1.5, quirks=quirk), stream=True)
    follower = Follower(client, job_id)
    result = await worker.see_through(job_id)

    assert (result.state, result.text, result.runs) == (JobState.SUCCEEDED, TEXT, 1)
    assert (await asyncio.to_thread(follower.join)).text == TEXT
    assert ends(emulator)["completed"] == 1
    assert emulator.left() == {}


@pytest.mark.parametrize("wire", ["chat"], indirect=True)
@pytest.mark.parametrize("quirk", ["stream_json", "stream_drops", "stream_no_done"])
async def test_a_stream_of_a_completion_that_breaks_is_made_up_for_without_one(worker, emulator, client, quirk):
    job_id = worker.create(asked(deltas=20, run_s=0.5, quirks=quirk), stream=True)
    follower = Follower(client, job_id)
    result = await worker.see_through(job_id)

    assert (result.text, result.runs) == (TEXT, 1)
    asked_for = [request.json.get("stream") for request in started(emulator)]
    assert asked_for == ([True] if quirk == "stream_json" else [True, None])
    assert result.lost_runs == len(asked_for) - 1
    assert (await asyncio.to_thread(follower.join)).text == TEXT


@pytest.mark.parametrize("quirk", ["", " quirks=stream_late_completed", " quirks=stream_drops", " quirks=stream_json"])
async def test_each_round_of_tools_has_a_stream_of_its_own(worker, emulator, client, quirk):
    job_id = worker.create(f"[[scenario=tool_rounds]][[run_s=1{quirk}]]\nWell?", stream=True)
    follower = Follower(client, job_id)
    result = await worker.see_through(job_id)
    await asyncio.to_thread(follower.join)

    assert result.state is JobState.SUCCEEDED
    assert follower.text == result.text
    calls, outputs = follower.of(EventKind.TOOL_CALL), follower.of(EventKind.TOOL_OUTPUT)
    assert [call.call_id for call in calls] == [output.call_id for output in outputs]
    assert emulator.stats()["tool_outputs"] == {"submitted": 3, "call_ids": 3, "most_for_one_call_id": 1}
    rounds = emulator.sent("POST", "/submit_tool_outputs") or emulator.sent("POST", "/responses")[1:]
    assert [request.json["stream"] for request in rounds] == [True] * len(rounds) != []


async def test_tool_calls_of_a_job_without_a_stream_are_published(wire, worker, emulator, client, store, keys, until):
    job_id = worker.create("[[scenario=tools]]\nWell?")
    follower = Follower(client, job_id)
    await asyncio.to_thread(until, lambda: store.exists(keys.followed(job_id)))
    result = await worker.see_through(job_id)
    await asyncio.to_thread(follower.join)

    [call], [output] = follower.of(EventKind.TOOL_CALL), follower.of(EventKind.TOOL_OUTPUT)
    assert (call.name, output.name) == ("SEARCH", "SEARCH")
    assert "Well?" in call.arguments
    if wire == "assistants":  # DaVinci's plugin API wants a thread's id
        assert output.output.startswith("Emulated search results")
    assert follower.text == result.text
    assert ["stream" in request.json for request in started(emulator)] == [False] * len(started(emulator)) != []


async def test_a_job_with_tool_calls_that_nobody_follows_leaves_no_stream(worker, client, store, keys):
    job_id = worker.create("[[scenario=tools]]\nWell?")
    result = await worker.see_through(job_id)
    assert not store.exists(keys.live(job_id))

    assert (await asyncio.to_thread(Follower(client, job_id).join)).text == result.text


@only_assistants
@pytest.mark.endpoint(supports={"create_and_run": True})
async def test_thread_and_run_made_in_one_call_are_streamed_too(worker, emulator, client):
    job_id = worker.create(asked(deltas=20, run_s=1.5), stream=True)
    follower = Follower(client, job_id)
    result = await worker.see_through(job_id)

    assert result.text == (await asyncio.to_thread(follower.join)).text == TEXT
    assert emulator.stats()["calls"] | {"threads.create_and_run": 1, "runs.retrieve": 1} == emulator.stats()["calls"]


@pytest.mark.endpoint(supports={"streaming": False})
async def test_a_server_without_streams_is_asked_for_none(worker, emulator):
    result = await worker.run(asked(), stream=True)

    assert result.state is JobState.SUCCEEDED
    [run] = started(emulator)
    assert "stream" not in run.json


@pytest.mark.endpoint(max_connections=3)
async def test_streams_leave_connections_to_the_other_calls(worker, emulator):
    results = await asyncio.gather(*(worker.run(asked(run_s=0.5), stream=True) for _ in range(6)))

    assert all(result.ok for result in results)
    assert "stream" in started(emulator)[0].json
    assert worker.process._contexts.connection("emulator").slots.left == 1


@pytest.mark.parametrize("scenario", ["failed_once", "expired_once"])
async def test_a_run_that_fails_while_streaming_is_started_again(worker, emulator, client, scenario):
    job_id = worker.create(f"[[scenario={scenario}]][[run_s=0.5]]Well?", stream=True)
    follower = Follower(client, job_id)
    result = await worker.see_through(job_id)
    await asyncio.to_thread(follower.join)

    assert (result.state, result.runs) == (JobState.SUCCEEDED, 2)
    assert follower.of(EventKind.MESSAGE)[-1].text == result.text


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "error_500", "rate_limit_429", "malformed", "html"])
async def test_a_start_whose_stream_never_came_makes_one_run(wire, worker, emulator, fault):
    route = "runs.create" if wire == "assistants" else "responses.create"
    emulator.faults(**{fault: 1}, only=route, times=2, retry_after_s=0.1)
    result = await worker.run(asked(run_s=0.3), stream=True)

    assert (result.state, result.text) == (JobState.SUCCEEDED, TEXT)
    assert result.runs == 1
    assert sum(emulator.left().values()) == ends(emulator)["completed"] - 1 <= result.lost_runs, (
        "no server lists responses"
    )
    assert result.lost_runs == 0 or wire == "responses"


async def test_a_cancelled_job_hangs_up_and_stops_its_run(worker, emulator, client, until):
    job_id = worker.create(asked(deltas=400, run_s=20), stream=True)
    follower = Follower(client, job_id)
    running = asyncio.create_task(worker.see_through(job_id))
    await asyncio.to_thread(until, lambda: follower.text)
    asked_at = time.monotonic()
    client.cancel(job_id)
    result = await running

    assert time.monotonic() - asked_at < 15
    assert result.failure.kind is FailureKind.CANCELLED
    assert ends(emulator) == {"cancelled": 1}
    assert (await asyncio.to_thread(follower.join)).events[-1].state is JobState.CANCELLED
    assert worker.process._contexts.connection("emulator").slots.left == 50


async def test_a_deadline_ends_a_streaming_job_in_time(worker, emulator):
    result = await worker.run(asked(deltas=1000, run_s=60), stream=True, timeout_s=1)

    assert result.failure.kind is FailureKind.OVERDUE
    assert ends(emulator) == {"cancelled": 1}


async def test_a_job_handed_back_is_finished_by_polling(worker, emulator, client, settings, until):
    job_id = worker.create(asked(deltas=40, run_s=3), stream=True)
    follower = Follower(client, job_id)
    running = asyncio.create_task(worker.process.run(job_id, None))
    await asyncio.to_thread(until, lambda: follower.text)
    await asyncio.wait_for(worker.process.close(), 2)
    await running
    successor = type(worker)(settings)
    result = await successor.see_through(job_id)
    await successor.process.close()

    assert (result.text, result.runs) == (TEXT, 1)
    assert (await asyncio.to_thread(follower.join)).text == TEXT


@on_all_wires
@pytest.mark.parametrize("deltas", [1, 20])
async def test_a_key_split_into_pieces_is_not_published(wire, worker, make_settings, base_url, store, deltas):
    core = type(worker)(make_settings(base_url, ALL[wire]))
    job_id = core.create(f"[[scenario=echo deltas={deltas} run_s=1.5]]the key is sk-secret-4711", stream=True)
    REDACTOR.register("sk-secret-4711")  # from now on: else the prompt would not hold it
    follower = Follower(core.client, job_id)
    await core.see_through(job_id)
    await core.process.close()

    assert (await asyncio.to_thread(follower.join)).text == "the key is [key]"
    pieces = store.xrange(f"{core.settings.key_prefix}:job:{job_id}:live")
    assert pieces
    assert not any(piece in json.dumps(pieces) for piece in ("sk-se", "cret-4", "4711"))


@pytest.mark.parametrize(
    "form",
    [
        pytest.param("OpenAI's", marks=pytest.mark.emulated(without=NO_STREAMS)),
        pytest.param("FastAPI's", marks=pytest.mark.emulated(without=NO_STREAMS, extras=frozenset({"detail_errors"}))),
    ],
)
@on_all_wires
async def test_a_server_that_refuses_to_stream_is_asked_without(form, wire, worker, emulator):
    result = await worker.run("[[scenario=tools]]Well?", stream=True)

    assert result.ok, result.failure
    asked = [request.json.get("stream") for request in started(emulator)]
    assert asked == ([True, None] if wire == "assistants" else [True, None, None]), "its rounds are responses too"
    await worker.run("And you?", stream=True)
    assert started(emulator)[-1].json.get("stream") is None, "the next job knows"
    assert len(started(emulator)) == len(asked) + 1
    assert emulator.left() == {}


@pytest.mark.parametrize("wire", ["responses"], indirect=True)
async def test_endpoints_of_kind_responses_stream_by_default(wire, emulator, make_settings, worker_of):
    fields = {"kind": "responses", "api_key_env": None, "model": "emulator"}
    core = worker_of(make_settings(emulator.url + AZURE_V1_PATH, fields))
    job_id = core.create(asked(deltas=20, run_s=1.5), stream=True)
    follower = Follower(core.client, job_id)
    await core.see_through(job_id)

    assert (await asyncio.to_thread(follower.join)).text == TEXT
    assert len(follower.of(EventKind.TEXT)) >= 2
    assert [request.json["stream"] for request in started(emulator)] == [True]
