"""Replies to POST /responses that are lost, on servers that can help and on those that cannot."""

import asyncio
import os
import signal
from typing import Any

import pytest

from threadmill import JobState

#: A time note that changes with each second must not make a repetition another request.
RESPONSES = {"wire": "responses", "model": "emulator", "assistant": None, "current_time_note": "Now: %H:%M:%S.%f"}

KEYS = [
    pytest.mark.endpoint(**RESPONSES, supports={"idempotency_keys": True}),
    pytest.mark.emulated(extras=frozenset({"idempotency_keys"})),
]
LISTS = [
    pytest.mark.endpoint(**RESPONSES, supports={"list_responses": True}),
    pytest.mark.emulated(extras=frozenset({"list_responses"})),
]

on_servers_that_help = pytest.mark.parametrize(
    "help", [pytest.param("idempotency keys", marks=KEYS), pytest.param("a list of responses", marks=LISTS)]
)
on_all_servers = pytest.mark.parametrize(
    "help",
    [
        pytest.param("idempotency keys", marks=KEYS),
        pytest.param("a list of responses", marks=LISTS),
        pytest.param(None, marks=pytest.mark.endpoint(**RESPONSES), id="nothing"),
    ],
)

pytestmark = [
    pytest.mark.integration,
    pytest.mark.settings(tools={"beat": "tests.integration.worker.test_lost_responses:beat"}),
]


def beat() -> str:
    return "beaten"


def submissions(emulator: Any) -> list[int]:
    """How often each output was taken in."""
    return list(emulator.emulator.state.stats.outputs.values())


@on_servers_that_help
async def test_a_start_whose_reply_is_lost_makes_one_response(help, worker, emulator):
    emulator.faults(drop_after=1, only="responses.create", times=1)

    result = await worker.run("Why?")

    assert (result.state, result.runs, result.lost_runs) == (JobState.SUCCEEDED, 1, 0)
    assert (emulator.created(), emulator.left()) == (1, {})


@on_servers_that_help
async def test_a_start_that_never_arrived_is_repeated(help, worker, emulator):
    emulator.faults(drop_before=1, only="responses.create", times=1)

    result = await worker.run("Why?")

    assert (result.state, result.lost_runs, len(emulator.sent("POST", "/responses"))) == (JobState.SUCCEEDED, 0, 2)
    assert emulator.created() == 1


@on_servers_that_help
async def test_outputs_whose_reply_is_lost_are_submitted_once(help, worker, emulator, until):
    running = asyncio.create_task(worker.run("[[scenario=tools run_s=0.3 tool=beat]]Well?", tools=["beat"]))
    await asyncio.to_thread(until, emulator.created)
    emulator.faults(drop_after=1, only="responses.create", times=1)

    result = await running

    assert emulator.stats()["faults"] == {"drop_after": 1}
    assert (result.state, result.runs, result.lost_runs) == (JobState.SUCCEEDED, 1, 0)
    assert (emulator.created(), submissions(emulator), emulator.left()) == (2, [1], {})


@pytest.mark.endpoint(**RESPONSES)
async def test_elsewhere_a_lost_response_is_counted(worker, emulator):
    emulator.faults(drop_after=1, only="responses.create", times=1)

    result = await worker.run("Why?")

    assert (result.state, result.lost_runs) == (JobState.SUCCEEDED, 1)
    assert (emulator.created(), emulator.left()) == (2, {"responses": 1})
    assert not any("idempotency-key" in request.headers for request in emulator.sent("POST", "/responses"))


@pytest.mark.endpoint(**RESPONSES, supports={"idempotency_keys": True})
@pytest.mark.emulated(extras=frozenset({"idempotency_keys"}))
async def test_a_request_refused_for_now_is_repeated_with_a_new_key(worker, emulator):
    """A server may keep the refusal under the key, and would give it for ever."""
    emulator.faults(rate_limit_429=1, only="responses.create", times=1, retry_after_s=0.01)

    result = await worker.run("Why?")

    first, second = (request.headers["idempotency-key"] for request in emulator.sent("POST", "/responses"))
    assert (result.state, first == second) == (JobState.SUCCEEDED, False)


@pytest.mark.endpoint(**RESPONSES, supports={"idempotency_keys": True})
@pytest.mark.emulated(extras=frozenset({"idempotency_keys"}))
async def test_a_redriven_job_makes_its_calls_again(worker, emulator):
    job_id = worker.create("[[scenario=invalid_prompt]]Why?")
    await worker.see_through(job_id)
    worker.client.store.redrive(job_id)
    await worker.see_through(job_id)

    assert len({request.headers["idempotency-key"] for request in emulator.sent("POST", "/responses")}) == 2
    assert emulator.created() == 2


@pytest.mark.endpoint(**RESPONSES, supports={"idempotency_keys": True})
@pytest.mark.emulated(extras=frozenset({"idempotency_keys"}))
async def test_a_conversation_whose_reply_is_lost_is_made_once(worker, emulator):
    emulator.faults(drop_after=1, only="conversations.create", times=1)

    result = await worker.run("Why?", keep_thread=True)

    assert (result.state, result.lost_threads) == (JobState.SUCCEEDED, 0)
    assert emulator.emulator.state.responses.conversations.created == 1


@pytest.mark.settings(lease_s=1, sweep_interval_s=0.2)
@on_all_servers
@pytest.mark.parametrize(("stage", "before"), [("start", 0), ("submit", 1)])
def test_a_worker_is_frozen_between_a_post_and_its_reply(
    stage, before, help, client, settings, emulator, start_worker, until
):
    """It keeps its lease no longer, and another worker takes the job over."""
    frozen = start_worker(settings)
    if not before:
        emulator.faults(slow=1, slow_s=0.5, only="responses.create", times=1)
    job = client.enqueue({"prompt": "[[scenario=tools run_s=1 tool=beat]]Well?", "tools": ["beat"], "timeout_s": 60})
    if before:
        until(emulator.created)
        emulator.faults(slow=1, slow_s=0.5, only="responses.create", times=1)
    until(lambda: len(emulator.sent("POST", "/responses")) > before)
    os.kill(frozen.pid, signal.SIGSTOP)
    start_worker(settings)

    result = job.wait(timeout_s=60)
    os.kill(frozen.pid, signal.SIGCONT)

    created = emulator.created()
    assert (result.state, result.attempts) == (JobState.SUCCEEDED, 2)
    if help:
        assert (result.lost_runs, created, submissions(emulator)) == (0, 2, [1])
    else:
        assert (result.lost_runs, created) == (1, 3)


@pytest.mark.endpoint(**RESPONSES)
@pytest.mark.parametrize("fault", ["drop_after", "drop_before"])
async def test_a_start_whose_reply_is_lost_is_found_in_its_new_conversation(fault, worker, emulator):
    emulator.faults(**{fault: 1}, only="responses.create", times=1)

    result = await worker.run("[[run_s=0.3]]Why?", keep_thread=True)

    was_lost = int(fault == "drop_after")
    assert (result.state, "Why?" in result.text, result.lost_runs) == (JobState.SUCCEEDED, True, was_lost)
    assert emulator.created() == 1


@pytest.mark.endpoint(**RESPONSES)
@pytest.mark.parametrize("fault", ["drop_after", "drop_before"])
async def test_outputs_whose_reply_is_lost_are_found_in_the_conversation(fault, worker, emulator, until):
    prompt = "[[scenario=tool_rounds run_s=0.5 tool=beat]]Well?"
    running = asyncio.create_task(worker.run(prompt, tools=["beat"], keep_thread=True))
    await asyncio.to_thread(until, emulator.created)
    emulator.faults(**{fault: 1}, only="responses.create", times=1)

    result = await running

    assert emulator.stats()["faults"] == {fault: 1}
    assert (result.state, result.runs, result.lost_runs) == (JobState.SUCCEEDED, 1, int(fault == "drop_after"))
    assert set(submissions(emulator)) == {1}


@pytest.mark.endpoint(**RESPONSES)
async def test_a_lost_start_in_an_earlier_conversation_is_counted(worker, emulator):
    first = await worker.run("One?", keep_thread=True)
    emulator.faults(drop_after=1, only="responses.create", times=1)

    result = await worker.run("[[run_s=0.3]]Two?", thread=first.thread_id)

    assert (result.state, "Two?" in result.text, result.lost_runs) == (JobState.SUCCEEDED, True, 1)
    assert emulator.created() == 3, "it was asked twice"


@pytest.mark.endpoint(**RESPONSES, supports={"idempotency_keys": True})
@pytest.mark.emulated(extras=frozenset({"idempotency_keys"}))
async def test_a_refusal_after_a_lost_reply_leaves_the_request_in_doubt(worker, emulator, until):
    """The second try did not land, but the first did."""
    emulator.faults(drop_after=1, only="responses.create", times=1)
    running = asyncio.create_task(worker.run("Why?"))
    await asyncio.to_thread(until, emulator.created)
    emulator.faults(rate_limit_429=1, only="responses.create", times=1, retry_after_s=0.01)

    result = await running

    assert emulator.stats()["faults"] == {"rate_limit_429": 1}
    assert (result.state, result.lost_runs, emulator.created()) == (JobState.SUCCEEDED, 0, 1)
