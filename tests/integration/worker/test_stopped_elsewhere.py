"""If a job ends while its run is active, the run is cancelled and its thread deleted."""

import asyncio

import pytest

from threadmill import FailureKind, JobState
from threadmill_worker.attempt.attempt import Attempt

pytestmark = [pytest.mark.integration, pytest.mark.settings(sweep_interval_s=0.1)]

WIRES = pytest.mark.parametrize(
    "runs",
    [
        "runs",
        pytest.param("responses", marks=pytest.mark.endpoint(wire="responses", model="emulator", assistant=None)),
    ],
)


async def hand_back(worker, emulator, until, runs: str) -> str:
    """A job whose worker was stopped while its run was active."""
    job_id = worker.create("[[run_s=60]]\nWell?", batch="b")
    running = asyncio.create_task(worker.process.run(job_id, None))
    await asyncio.to_thread(
        until, lambda: emulator.stats()[runs]["created"] and worker.record(job_id).progress_summary.run
    )
    await worker.process.close()
    assert await running is None
    assert worker.record(job_id).state is JobState.QUEUED
    return job_id


@WIRES
@pytest.mark.parametrize("many", [False, True], ids=["one", "a batch"])
async def test_a_job_that_was_handed_back_is_cancelled_with_its_run(worker, worker_of, emulator, until, runs, many):
    job_id = await hand_back(worker, emulator, until, runs)
    if many:
        worker.client.cancel_batch("b")
    else:
        worker.client.cancel(job_id)

    result = worker.record(job_id).result
    assert (result.state, result.runs) == (JobState.CANCELLED, 1)
    assert result.calls > 0, "what it has spent is counted"
    worker_of(worker.settings).start()
    await asyncio.to_thread(until, lambda: emulator.stats()[runs]["by_status"] == {"cancelled": 1})
    await asyncio.to_thread(until, lambda: not worker.client.leftovers())
    assert emulator.stats()[runs].get("alive", 0) == 0
    assert emulator.threads() == 0


@WIRES
async def test_an_unexpected_exception_cancels_the_run(worker, emulator, until, runs, monkeypatch):
    async def wait(self, action, until):
        raise KeyError("unexpected")

    with monkeypatch.context() as patch:
        patch.setattr(Attempt, "_wait", wait)
        result = await worker.run("[[run_s=60]]\nWell?")

    assert result.failure.kind is FailureKind.INTERNAL_ERROR
    assert result.runs == 1
    await asyncio.to_thread(until, lambda: emulator.stats()[runs]["by_status"] == {"cancelled": 1})
    await asyncio.to_thread(until, lambda: not worker.client.leftovers())
    assert emulator.threads() == 0
