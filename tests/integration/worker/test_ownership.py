"""One worker at a time owns a job; the next one continues where the last one stopped."""

import asyncio
from unittest.mock import AsyncMock

import pytest
from tests.integration.worker.holder import Holder

from threadmill import JobState
from threadmill_worker.lifecycle.progress import Progress
from threadmill_worker.process import WorkerProcess
from threadmill_worker.store.jobs import LeaseLost

pytestmark = pytest.mark.integration


@pytest.fixture
async def another(settings):
    """A second worker process, for the same jobs."""
    process = WorkerProcess(settings)
    yield process
    await process.close()


@pytest.fixture
async def dead(settings):
    """The records as a worker saw them that will not come back."""
    job_store = Holder(settings, "dead")
    yield job_store
    await job_store.close()


async def test_two_deliveries_at_once_run_the_job_once(worker, another, emulator):
    job_id = worker.create("[[run_s=0.3]]\nWell?")
    await asyncio.gather(*(process.run(job_id, None) for process in (worker.process, another) for _ in range(3)))

    assert worker.record(job_id).state is JobState.SUCCEEDED
    assert worker.record(job_id).attempts == 1
    assert emulator.stats()["runs"]["created"] == 1


@pytest.mark.parametrize("prompt", ["[[run_s=1]]", "[[scenario=tools run_s=1]]"])
async def test_a_stopped_worker_hands_its_job_to_another(worker, another, emulator, until, prompt):
    job_id = worker.create(f"{prompt}\nWell?")
    running = asyncio.create_task(worker.process.run(job_id, None))
    await asyncio.to_thread(until, lambda: emulator.stats()["runs"]["created"])
    await worker.process.close()
    assert await running is None

    record = worker.record(job_id)
    assert (record.state, record.attempts, record.owner) == (JobState.QUEUED, 0, None)
    await another.run(job_id, None)

    result = worker.record(job_id).result
    assert (result.state, result.attempts, result.runs) == (JobState.SUCCEEDED, 1, 1)
    assert emulator.stats()["runs"]["created"] == 1, "the same run"
    assert emulator.threads() == 0


@pytest.mark.emulated(latency_s=0.3)
@pytest.mark.parametrize(("path", "made"), [("/threads", "threads"), ("/runs", "runs")])
async def test_calls_in_flight_complete_before_a_worker_stops(worker, another, emulator, until, path, made):
    job_id = worker.create("Well?", messages=[{"role": "user", "content": f"{n}?"} for n in range(40)])
    running = asyncio.create_task(worker.process.run(job_id, None))
    await asyncio.to_thread(until, lambda: emulator.sent("POST", path))
    assert emulator.stats()[made]["created"] == 0, "it is on its way"
    await worker.process.close()
    await running
    assert emulator.stats()[made]["created"] == 1
    await another.run(job_id, None)

    result = worker.record(job_id).result
    assert (result.state, result.runs, result.lost_threads, result.lost_runs) == (JobState.SUCCEEDED, 1, 0, 0)
    assert [emulator.stats()[each]["created"] for each in ("threads", "runs")] == [1, 1]


async def test_a_worker_that_is_stopping_takes_no_more_jobs(worker):
    job_id = worker.create()
    await worker.process.close()

    assert await worker.process.run(job_id, None) is None
    assert worker.record(job_id).state is JobState.QUEUED


@pytest.mark.settings(lease_s=2, sweep_interval_s=60)
async def test_a_dead_workers_job_is_taken_over_once_its_lease_has_expired(worker, dead, settings, store, until):
    job_id = worker.create()
    assert await dead.take(job_id)

    assert await worker.process.run(job_id, None) is None, "not before"
    expires_at = store.zscore(f"{settings.key_prefix}:leases", job_id)
    await asyncio.to_thread(until, lambda: store.time()[0] > expires_at)
    result = await worker.see_through(job_id)

    assert (result.state, result.attempts) == (JobState.SUCCEEDED, 2)
    with pytest.raises(LeaseLost):
        await dead.save(dead.leases[job_id], Progress(deadline_at=0, messages=1))


@pytest.mark.settings(lease_s=0.3, sweep_interval_s=60)
async def test_calls_of_a_killed_worker_are_counted_up_to_its_last_heartbeat(
    worker, dead, settings, store, until, emulator
):
    job_id = worker.create()
    await dead.take(job_id)
    await dead.renew([dead.leases[job_id]], {job_id: 40})
    expires_at = store.zscore(f"{settings.key_prefix}:leases", job_id)
    await asyncio.to_thread(until, lambda: store.time()[0] > expires_at)
    result = await worker.see_through(job_id)

    assert result.calls == 40 + len(emulator.requests)
    assert store.hget(f"{settings.key_prefix}:job:{job_id}", "calls") is None


async def test_calls_of_a_stopped_worker_are_all_counted(worker, another, emulator, until):
    job_id = worker.create("[[run_s=1]]\nWell?")
    running = asyncio.create_task(worker.process.run(job_id, None))
    await asyncio.to_thread(until, lambda: len(emulator.sent("GET", "")) > 4)  # looks save nothing
    await worker.process.close()
    await running
    result = await another.run(job_id, None)

    assert result.calls >= len(emulator.requests)


@pytest.mark.settings(lease_s=0.6)
async def test_a_worker_keeps_its_lease_for_as_long_as_it_works(worker, another, emulator):
    job_id = worker.create("[[run_s=1.3]]\nWell?")
    running = asyncio.create_task(worker.see_through(job_id))
    while not running.done():
        assert worker.record(job_id).attempts <= 1
        await asyncio.wait([running], timeout=0.2)
        await another.run(job_id, None)

    assert running.result().attempts == 1
    assert emulator.stats()["runs"]["created"] == 1


@pytest.mark.settings(lease_s=0.6)
async def test_a_worker_that_lost_its_lease_lets_go_of_the_job(worker, another, emulator, until, store):
    job_id = worker.create("[[run_s=1.5]]\nWell?")
    running = asyncio.create_task(worker.process.run(job_id, None))
    await asyncio.to_thread(until, lambda: emulator.stats()["runs"]["created"])
    store.hset(
        f"{worker.settings.key_prefix}:job:{job_id}", "owner", another.name
    )  # as after a long pause of this worker

    assert await asyncio.wait_for(running, 60) is None
    assert worker.record(job_id).state is JobState.RUNNING
    assert emulator.threads() == 1, "it is the other's now"


@pytest.mark.settings(lease_s=0.4, sweep_interval_s=60)
async def test_claiming_ones_own_job_again_stops_the_earlier_attempt(worker, emulator, store, until, monkeypatch):
    """As after the event loop was blocked for longer than the lease, and the job's message came back."""
    job_id = worker.create("[[run_s=0.5]]\nWell?")
    earlier = asyncio.create_task(worker.process.run(job_id, None))
    await asyncio.to_thread(until, lambda: emulator.stats()["runs"]["created"])
    with monkeypatch.context() as patch:
        patch.setattr(worker.process._attempts, "renew", AsyncMock(return_value=[]))
        await asyncio.to_thread(until, lambda: _has_expired(store, worker, job_id))
        result = await worker.see_through(job_id)

    assert await earlier is None, "it was stopped, and took nothing back"
    assert (result.state, result.attempts, result.runs) == (JobState.SUCCEEDED, 2, 1)
    assert emulator.stats()["runs"]["created"] == 1
    assert emulator.threads() == 0


@pytest.mark.settings(lease_s=0.4, sweep_interval_s=60)
async def test_a_silent_worker_continues_a_job_that_nobody_claimed(worker, dead, store, until, emulator):
    job_id = worker.create()
    await dead.take(job_id)
    await asyncio.to_thread(until, lambda: _has_expired(store, worker, job_id))
    assert await dead.sweep() == [(job_id, 1)]
    assert worker.record(job_id).state is JobState.QUEUED

    await dead.save(dead.leases[job_id], Progress(deadline_at=0, messages=1))
    assert await dead.renew([dead.leases[job_id]]) == {}
    record = worker.record(job_id)
    assert (record.state, record.attempts, record.interruptions) == (JobState.RUNNING, 1, 0)
    assert await worker.process.run(job_id, None) is None, "its message came back, and is ignored"

    await dead.end(record.ended(JobState.SUCCEEDED, None, record.created_at))
    assert worker.record(job_id).state is JobState.SUCCEEDED


async def test_a_claim_whose_reply_was_lost_is_found_by_its_repetition(worker, dead):
    job_id = worker.create()
    lease = dead.lease(job_id)
    assert await dead.claim(lease)
    again = await dead.claim(lease)

    assert (again.attempts, again.owner) == (1, lease.owner)
    assert await dead.take(job_id) is None, "another claim of the same worker is another"


@pytest.mark.settings(lease_s=0.1, sweep_interval_s=60)
async def test_expired_leases_count_only_while_a_job_makes_no_progress(worker, dead, store, until):
    job_id = worker.create()

    async def expire() -> tuple[int, bool]:
        await asyncio.to_thread(until, lambda: _has_expired(store, worker, job_id))
        await dead.sweep()
        record = worker.record(job_id)
        return record.interruptions, record.own_process

    await dead.take(job_id)
    await dead.save(dead.leases[job_id], Progress(deadline_at=0, messages=1))
    assert await expire() == (1, False)
    await dead.take(job_id)
    await dead.save(dead.leases[job_id], Progress(deadline_at=1, messages=1))
    assert await expire() == (1, False), "it had made progress"
    await dead.take(job_id)
    assert await expire() == (2, True)
    await dead.take(job_id)
    await dead.save(dead.leases[job_id], Progress(deadline_at=0, messages=1))
    assert await expire() == (1, True), "a job with its own process keeps it"


def _has_expired(store, worker, job_id: str) -> bool:
    prefix = worker.settings.key_prefix
    seconds, micros = store.time()
    return (store.zscore(f"{prefix}:leases", job_id) or 0) < seconds + micros / 1e6
