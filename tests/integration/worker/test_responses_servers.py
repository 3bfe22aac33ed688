"""Servers that speak the Responses API each in a way of its own: what they say is believed, and asked for once."""

import asyncio
from typing import Any

import pytest

from threadmill import FailureKind, JobState
from threadmill_worker.drivers.streaming import stream as streaming

pytestmark = [
    pytest.mark.integration,
    pytest.mark.endpoint(wire="responses", model="emulator-1", assistant=None, max_tool_rounds=2),
    pytest.mark.settings(tools={"beat": "tests.integration.worker.test_responses_servers:beat"}),
]

#: Of a server without a background whose replies take longer than `request_timeout_s`.
SLOW = {"request_timeout_s": 0.3}


def beat() -> str:
    return "beaten"


def called(emulator: Any) -> list[str]:
    return [request.method for request in emulator.requests]


def asked_for_background(emulator: Any) -> list[bool]:
    return ["background" in request.json for request in emulator.sent("POST", "/responses")]


def like(*extras: str) -> pytest.MarkDecorator:
    return pytest.mark.emulated(extras=frozenset(extras))


async def test_a_server_that_works_in_the_background_is_asked_three_times(worker, emulator):
    result = await worker.run("[[run_s=0.01]]Why?")

    assert (result.state, called(emulator), result.calls) == (JobState.SUCCEEDED, ["POST", "GET", "DELETE"], 3)
    assert emulator.left() == {}


@pytest.mark.parametrize(
    "extras",
    [
        pytest.param(None, marks=like("ignores_background"), id="stores"),
        pytest.param(None, marks=like("ignores_background", "stateless"), id="stateless"),
        pytest.param(None, marks=like("ignores_background", "stateless", "unsupported_500"), id="LiteLLM's bridge"),
    ],
)
async def test_an_answer_in_the_reply_is_not_fetched_again(extras, worker, emulator):
    result = await worker.run("Why?")

    assert (result.state, called(emulator), result.runs) == (JobState.SUCCEEDED, ["POST", "DELETE"], 1)
    assert "Why?" in result.text
    assert result.usage.total_tokens > 0
    assert emulator.left() == {}


@like("misses_looks")
async def test_a_response_that_is_not_found_once_is_not_repeated(worker, emulator):
    result = await worker.run("[[run_s=0.3]]Why?")

    assert (result.state, result.runs) == (JobState.SUCCEEDED, 1)
    assert len(emulator.sent("POST", "/responses")) == 1
    assert emulator.left() == {}


@pytest.mark.parametrize(
    "prompt",
    ["[[scenario=tools tool=beat]]Well?", "[[scenario=plot]]Draw it."],
)
async def test_without_stored_responses_steps_are_taken_from_replies(prompt, settings, emulate, worker_of):
    steps = []
    for extras in (frozenset(), frozenset({"ignores_background", "stateless"})):
        with emulate(extras=extras) as emulator:
            endpoint = settings.endpoints["emulator"].model_copy(update={"base_url": emulator.base_url})
            core = worker_of(settings.model_copy(update={"endpoints": {"emulator": endpoint}}))
            result = await core.run(prompt, tools=["beat", {"type": "code_interpreter"}], include_steps=True)
            assert (result.ok, result.missing_steps) == (True, None)
            assert extras == frozenset() or "GET" not in [
                request.method for request in emulator.requests if "/responses/" in request.path
            ]
            steps.append([{**step, "images": bool(step.get("images"))} for step in result.steps])
    assert steps[0] == steps[1] != []
    assert "beaten" in str(steps) or steps[0][0]["logs"] is not None


@like("ignores_background", "stateless")
async def test_a_stateless_server_is_paid_once(worker, emulator):
    incomplete = await worker.run("[[scenario=incomplete]]Why?")
    empty = await worker.run("[[scenario=empty]]Why?")
    refused = await worker.run("[[scenario=refusal]]Why?")

    assert (incomplete.failure.kind, bool(incomplete.text)) == (FailureKind.INCOMPLETE, True)
    assert empty.failure.kind is FailureKind.EMPTY_ANSWER
    assert refused.content[0]["type"] == "refusal"
    assert called(emulator) == ["POST", "DELETE"] * 3


@like("ignores_background")
async def test_files_in_an_answer_in_the_reply_are_fetched_and_deleted(worker, emulator):
    result = await worker.run("[[scenario=plot]]Draw it.", tools=[{"type": "code_interpreter"}])

    assert result.state is JobState.SUCCEEDED
    assert result.files
    assert all(file.uri for file in result.files)
    assert emulator.left() == {}


@pytest.mark.parametrize(
    "extras",
    [
        pytest.param(None, marks=like("stateless"), id="in the background"),
        pytest.param(None, marks=like("ignores_background", "stateless"), id="in the reply"),
    ],
)
@pytest.mark.endpoint(max_tool_rounds=3)
@pytest.mark.parametrize("stream", [False, True])
async def test_each_round_is_complete_where_the_server_keeps_nothing(stream, extras, worker, emulator):
    result = await worker.run("[[scenario=tool_rounds run_s=0.3 tool=beat]]Well?", tools=["beat"], stream=stream)

    assert (result.state, result.runs) == (JobState.SUCCEEDED, 1)
    *_, last = emulator.sent("POST", "/responses")
    sent = [item.get("role") or item["type"] for item in last.json["input"]]
    assert sent == ["user", *["function_call", "function_call_output"] * 3]
    assert "previous_response_id" not in last.json
    assert emulator.left() == {}


@pytest.mark.endpoint(supports={"stored_responses": False})
async def test_everything_before_is_sent_when_nothing_may_be_stored(worker, emulator):
    result = await worker.run("[[scenario=tools tool=beat]]Well?", tools=["beat"])

    first, second = (request.json for request in emulator.sent("POST", "/responses"))
    assert (result.state, first["store"], second["store"]) == (JobState.SUCCEEDED, False, False)
    assert second["input"][:1] == first["input"]
    assert emulator.left() == {}


@pytest.mark.endpoint(supports={"stored_responses": False})
@pytest.mark.emulated(without=frozenset({"conversations"}))
async def test_a_thread_is_kept_here_where_nothing_is_stored(worker, emulator):
    first = await worker.run("Why?", keep_thread=True)
    second = await worker.run("[[scenario=recall]]And then?", thread=first.thread_id)

    assert "> Why?" in second.text
    assert not any("previous_response_id" in request.json for request in emulator.sent("POST", "/responses"))


@pytest.mark.endpoint(max_tool_rounds=3)
async def test_a_server_that_keeps_responses_is_sent_the_outputs_alone(worker, emulator):
    await worker.run("[[scenario=tool_rounds tool=beat]]Well?", tools=["beat"])

    for request in emulator.sent("POST", "/responses")[1:]:
        assert [item["type"] for item in request.json["input"]] == ["function_call_output"]
        assert request.json["previous_response_id"]


@like("changing_ids")
async def test_a_run_whose_id_changes_with_each_reply_is_one_run(worker, emulator):
    result = await worker.run("[[scenario=tools tool=beat]]Well?", tools=["beat"])

    assert (result.state, result.runs) == (JobState.SUCCEEDED, 1)
    assert (emulator.created(), emulator.left()) == (2, {})


@like("changing_ids")
async def test_changing_ids_do_not_lift_the_limit_on_rounds(worker, emulator):
    result = await worker.run("[[scenario=tool_rounds tool=beat]]Well?", tools=["beat"])

    assert (result.failure.kind, result.runs) == (FailureKind.TOOL_FAILED, 1)
    assert "after 2 rounds of tools" in result.failure.message
    assert (emulator.created(), emulator.left()) == (3, {})


@pytest.mark.emulated(without=frozenset({"background"}))
async def test_background_mode_is_requested_once_of_a_server_that_refuses(worker, emulator):
    first = await worker.run("Why?")
    second = await worker.run("Why background?")

    assert (first.state, second.state) == (JobState.SUCCEEDED, JobState.SUCCEEDED)
    assert called(emulator) == ["POST", "POST", "DELETE", "POST", "DELETE"]
    assert asked_for_background(emulator) == [True, False, False]


@pytest.mark.emulated(without=frozenset({"background", "streaming"}))
async def test_what_else_a_server_refuses_is_still_refused(worker, emulator):
    result = await worker.run("Why?", tools=[{"type": "background_check"}])

    assert (result.failure.kind, emulator.left()) == (FailureKind.REJECTED, {})


@pytest.mark.endpoint(**SLOW, supports={"background": False})
@like("ignores_background", "stateless")
async def test_without_background_mode_a_reply_may_take_the_jobs_time(worker, emulator):
    result = await worker.run("[[run_s=1]]Why?")

    assert (result.state, called(emulator), result.lost_runs) == (JobState.SUCCEEDED, ["POST", "DELETE"], 0)
    assert asked_for_background(emulator) == [False]


@pytest.mark.endpoint(**SLOW)
@like("ignores_background", "stateless")
async def test_a_stream_that_ends_at_once_does_not_prove_background_support(worker, emulator):
    await worker.run("[[run_s=0]]Why?", stream=True)
    slow = await worker.run("[[run_s=1]]Why?")

    assert (slow.state, slow.lost_runs, called(emulator)) == (JobState.SUCCEEDED, 0, ["POST", "DELETE"] * 2)


@pytest.mark.endpoint(**SLOW)
@like("ignores_background", "stateless")
async def test_a_server_that_ignores_background_is_found_out_once(worker, emulator):
    first = await worker.run("[[run_s=1]]Why?")
    second = await worker.run("[[run_s=1]]Why?")

    assert (first.state, first.lost_runs) == (JobState.SUCCEEDED, 1), "its first reply was not awaited"
    assert (second.state, second.lost_runs) == (JobState.SUCCEEDED, 0)
    assert called(emulator) == ["POST", "POST", "DELETE", "POST", "DELETE"]


@pytest.mark.endpoint(**SLOW, supports={"background": False})
@like("ignores_background", "stateless")
async def test_the_deadline_ends_a_request_that_waits_for_its_run(worker, emulator):
    result = await worker.run("[[run_s=60]]Why?", timeout_s=1)

    assert (result.failure.kind, called(emulator)) == (FailureKind.OVERDUE, ["POST"])


@pytest.mark.endpoint(**SLOW, supports={"background": False})
@like("ignores_background", "stateless")
async def test_a_cancel_ends_a_request_that_waits_for_its_run(worker, emulator, until):
    job_id = worker.create("[[run_s=60]]Why?")
    running = asyncio.create_task(worker.see_through(job_id))
    await asyncio.to_thread(until, emulator.created)
    await asyncio.to_thread(worker.client.cancel, job_id)

    result = await running
    assert (result.state, called(emulator)) == (JobState.CANCELLED, ["POST"])


@pytest.mark.endpoint(**SLOW, supports={"background": False})
@like("ignores_background", "stateless")
async def test_a_streamed_reply_is_not_retrieved_again(worker, emulator, monkeypatch):
    monkeypatch.setattr(streaming, "RARELY_S", 0.1)

    result = await worker.run("[[run_s=1.5 deltas=10]]Why?", stream=True)

    assert (result.state, called(emulator), result.runs) == (JobState.SUCCEEDED, ["POST", "DELETE"], 1)
