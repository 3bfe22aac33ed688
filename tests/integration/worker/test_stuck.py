"""Runs that do not move, deadlines that pass, owners who cancel: every job ends, and cleans up behind itself."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from threadmill import FailureKind, JobState

pytestmark = pytest.mark.integration

IMPATIENT = pytest.mark.endpoint(queued_limit_s=0.15, run_limit_s=0.25, cancel_limit_s=0.3, max_reruns=1)


@IMPATIENT
@pytest.mark.parametrize(
    ("prompt", "status"),
    [
        ("[[scenario=stuck_queued]]", "cancelled"),
        ("[[scenario=stuck]]", "cancelled"),
        ("[[scenario=unknown_status]]", "cancelled"),
        ("[[scenario=stuck lock=yes]]", "deleted"),  # stays `cancelling` until its thread is deleted
        ("[[scenario=stuck_queued quirks=refuses_cancel]]", "deleted"),
    ],
)
async def test_a_stuck_run_is_stopped_repeated_and_abandoned(worker, emulator, prompt, status):
    result = await worker.run(f"{prompt}\nWell?")

    assert (result.state, result.failure.kind) == (JobState.FAILED, FailureKind.STUCK)
    assert result.failure.retryable
    assert result.runs == 2
    assert emulator.stats()["runs"]["by_status"] == {status: 2}
    assert emulator.stats()["threads"]["created"] == 2, "a stuck run may leave its thread locked"
    assert emulator.threads() == 0


@IMPATIENT
async def test_a_stuck_run_is_followed_by_one_that_completes(worker, emulator):
    result = await worker.run("[[scenario=stuck times=1 key=once]]\nWell?")

    assert (result.state, result.runs) == (JobState.SUCCEEDED, 2)
    assert emulator.threads() == 0


@IMPATIENT
async def test_an_answer_that_comes_in_spite_of_the_cancel_is_taken(worker, emulator):
    result = await worker.run("[[scenario=stuck cancel_ends=completed]]\nWell?")

    assert (result.state, result.runs) == (JobState.SUCCEEDED, 1)
    assert "Well?" in result.text


@pytest.mark.endpoint(queued_limit_s=0.3, run_limit_s=60)
async def test_a_run_at_work_is_not_stuck_in_the_queue(worker):
    result = await worker.run("[[run_s=1]]\nWell?")

    assert (result.state, result.runs) == (JobState.SUCCEEDED, 1)


@pytest.mark.parametrize("scenario", ["stuck", "stuck_queued", "unknown_status"])
async def test_a_deadline_stops_the_remote_run(worker, emulator, scenario):
    result = await worker.run(assistant=f"asst_{scenario}", timeout_s=0.5)

    assert (result.state, result.failure.kind) == (JobState.FAILED, FailureKind.OVERDUE)
    assert result.failure.retryable
    assert emulator.stats()["runs"]["by_status"] == {"cancelled": 1}
    assert emulator.threads() == 0


async def test_an_absolute_deadline_counts_too(worker, emulator):
    soon = datetime.now(UTC) + timedelta(seconds=0.6)
    result = await worker.run(assistant="asst_stuck", deadline_at=soon)

    assert result.failure.kind is FailureKind.OVERDUE
    assert emulator.threads() == 0


async def test_a_deadline_that_passed_in_the_queue_costs_no_call(worker, emulator):
    result = await worker.run(deadline_at=datetime.now(UTC) - timedelta(seconds=1))

    assert (result.failure.kind, result.calls, result.runs) == (FailureKind.OVERDUE, 0, 0)
    assert emulator.requests == []


@pytest.mark.endpoint(cancel_limit_s=0.3)
async def test_a_job_ends_although_its_overdue_run_does_not_stop(worker, emulator):
    result = await worker.run("[[scenario=stuck lock=yes]]\nWell?", timeout_s=0.4)

    assert result.failure.kind is FailureKind.OVERDUE
    assert (result.timings.finished_at - result.timings.started_at).total_seconds() < 20
    assert emulator.threads() == 0


@pytest.mark.endpoint(tool_timeout_s=60)
async def test_a_deadline_ends_the_wait_for_a_tool(worker, emulator):
    began = asyncio.get_running_loop().time()
    result = await worker.run("[[scenario=tools tool=SLOW]]\nWell?", timeout_s=1)

    assert result.failure.kind is FailureKind.OVERDUE
    assert asyncio.get_running_loop().time() - began < 30
    assert emulator.stats()["runs"]["by_status"] == {"cancelled": 1}
    assert emulator.threads() == 0


@pytest.mark.settings(lease_s=0.6)  # and so a heartbeat each 0.2 s
@pytest.mark.parametrize(
    "prompt",
    [
        "[[scenario=tools tool=SLOW]]",
        "[[scenario=stuck cancel_ends=completed]]",
    ],
)
async def test_a_running_job_can_be_cancelled(worker, emulator, until, prompt):
    job_id = worker.create(f"{prompt}\nWell?")
    running = asyncio.create_task(worker.see_through(job_id))
    await asyncio.to_thread(until, lambda: emulator.stats()["runs"]["created"])

    assert await asyncio.to_thread(worker.client.cancel, job_id) is JobState.RUNNING
    result = await running

    assert (result.state, result.failure.kind) == (JobState.CANCELLED, FailureKind.CANCELLED)
    assert emulator.stats()["runs"]["active"] == 0
    assert emulator.threads() == 0
    assert worker.record(job_id).cancel_requested is False


@pytest.mark.endpoint(queued_limit_s=0.3, tool_timeout_s=1)
async def test_a_run_that_waits_for_slow_tools_is_not_stuck(worker, emulator):
    result = await worker.run("[[scenario=tools tool=SLOW]]\nWell?", timeout_s=10)

    assert result.state is JobState.SUCCEEDED  # the tool's time is up first, and its output says so
    assert "did not answer within 1 s" in result.text
