"""A job whose pool lets its calls wait: it waits with its lease, and can be cancelled, handed back, and overdue."""

import asyncio
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from threadmill import FailureKind, JobState
from threadmill.settings.endpoints.limits import Limits as SetLimits
from threadmill_emulator.scripting.limits import Limits

pytestmark = pytest.mark.integration

#: The second start waits for a minute.
SLOW = pytest.mark.endpoint(limits={"requests_per_minute": 1})


@pytest.fixture
def pool(store, keys):
    """Reads the state of the endpoint's pool."""
    return lambda: store.hgetall(keys.pool("emulator"))


@pytest.fixture
def limited(worker, until):
    """Starts a job that must wait for its limit: the pool's only start of the minute went to another job."""

    async def start(**fields):
        assert (await worker.run()).ok
        job_id = worker.create(**fields)
        running = asyncio.create_task(worker.process.run(job_id, None))

        def wait():
            progress = worker.record(job_id).progress_summary
            return progress and progress.limited

        return job_id, running, await asyncio.to_thread(until, wait)

    return start


@SLOW
async def test_the_record_says_what_a_job_waits_for(limited, worker):
    with capture_logs() as logs:
        job_id, running, limit = await limited()
        progress = worker.record(job_id).progress_summary

    assert limit.reason == "requests_per_minute"
    assert 55 < limit.until - worker.client.store.now().timestamp() <= 60
    assert (progress.intent, progress.runs) == (None, 0)
    [line] = [line for line in logs if line["event"] == "start limited"]
    assert (line["log_level"], line["reason"], line["pool"]) == ("info", "requests_per_minute", "emulator")
    worker.client.cancel(job_id)
    await running


@SLOW
async def test_a_job_is_cancelled_while_it_waits(limited, worker, emulator):
    job_id, running, _ = await limited()
    worker.client.cancel(job_id)
    await running

    result = worker.record(job_id).result
    assert (result.state, result.runs) == (JobState.CANCELLED, 0)
    assert 0 < result.timings.limited_s < 30
    assert emulator.stats()["runs"]["created"] == 1
    assert emulator.threads() == 0


@SLOW
async def test_a_job_that_waits_did_not_end_the_workers_that_died_before(worker, store, keys, until):
    assert (await worker.run()).ok
    job_id = worker.create()
    store.hset(keys.record(job_id), "interruptions", 1)
    running = asyncio.create_task(worker.process.run(job_id, None))
    await asyncio.to_thread(until, lambda: getattr(worker.record(job_id).progress_summary, "limited", None))

    assert worker.record(job_id).interruptions == 0
    worker.client.cancel(job_id)
    await running


@SLOW
async def test_the_deadline_of_a_job_passes_while_it_waits(limited, worker):
    job_id, running, _ = await limited(timeout_s=1)
    await running

    result = worker.record(job_id).result
    assert (result.failure.kind, result.runs) == (FailureKind.OVERDUE, 0)
    assert "for limits of the server; last: requests_per_minute" in result.failure.message
    assert 0 < result.timings.limited_s <= 1.1


@SLOW
async def test_a_job_is_handed_back_while_it_waits(limited, worker, worker_of, store, keys):
    job_id, running, _ = await limited()
    await worker.process.close()

    assert await running is None
    assert worker.record(job_id).state is JobState.QUEUED
    assert store.hgetall(keys.pool_jobs("emulator")) == {}
    unlimited = worker.settings.endpoints["emulator"].model_copy(update={"limits": SetLimits()})
    another = worker_of(worker.settings.model_copy(update={"endpoints": {"emulator": unlimited}}))
    assert (await another.see_through(job_id)).ok


@pytest.mark.endpoint(limits={"requests_per_minute": 60})
@pytest.mark.settings(lease_s=0.5, sweep_interval_s=0.1)
async def test_jobs_keep_their_leases_while_they_wait(worker, emulator):
    results = await asyncio.gather(*(worker.run() for _ in range(3)))

    assert [(result.state, result.attempts, result.runs) for result in results] == [(JobState.SUCCEEDED, 1, 1)] * 3
    made_at = emulator.emulator.limiter.summary(starts=True)["accounts"][0]["starts"]
    assert all(0.9 < later - earlier < 1.5 for earlier, later in pairwise(made_at))
    first, second, third = sorted(result.timings.limited_s for result in results)
    assert first == 0
    assert (second, third) == pytest.approx((1, 2), abs=0.3)


async def test_a_429_shuts_the_pool_and_the_job_waits_for_it(worker, emulator, pool):
    emulator.faults(rate_limit_429=1, times=1, only="runs.create", retry_after_s=0.5)
    result = await worker.run()

    assert (result.state, result.runs) == (JobState.SUCCEEDED, 1)
    assert result.timings.limited_s >= 0.5
    assert pool()["refused"] == "1"
    assert pool()["shut_reason"].startswith("429 ")


async def test_a_429_of_a_poll_shuts_the_pool_too(worker, emulator, pool):
    emulator.faults(rate_limit_429=1, times=1, only="runs.retrieve", retry_after_s=0.1)
    result = await worker.run()

    assert (result.ok, result.timings.limited_s) == (True, 0)
    assert pool()["refused"] == "1"


async def test_a_run_that_a_rate_limit_ended_shuts_the_pool(worker, pool):
    result = await worker.run("[[scenario=rate_limited times=1]]Well?")  # "Please try again in 1s."

    assert (result.ok, result.runs) == (True, 2)
    assert result.timings.limited_s >= 1
    assert pool()["refused"] == "1"


@pytest.mark.emulated(limits=Limits(requests_per_minute=600, burst_s=0.5))
async def test_what_the_servers_headers_say_is_kept_to(worker, emulator, pool):
    results = await asyncio.gather(*(worker.run() for _ in range(20)))

    assert all(result.ok for result in results)
    assert float(pool()["learned_requests"]) == 600
    refused = emulator.stats()["limits"]["refused"]
    assert int(pool().get("refused", 0)) == refused
    assert refused < 20


@pytest.mark.endpoint(limits={"tokens_per_minute": 6000})
async def test_the_tokens_of_a_job_are_reserved_and_settled(worker, store, keys, pool):
    result = await worker.run("[[used_tokens=50]]Well?")

    assert result.usage.total_tokens == 50
    assert store.hgetall(keys.pool_jobs("emulator")) == {}
    assert float(pool()["tokens_spent"]) <= worker.client.store.now().timestamp() + 0.5 + 50 / 100


@pytest.mark.endpoint(limits={"requests_per_minute": 600, "all_requests": True})
async def test_where_the_server_counts_all_requests_each_call_takes_one(worker, emulator):
    result = await worker.run()

    assert result.ok
    duration_s = (result.timings.finished_at - result.timings.started_at).total_seconds()
    assert duration_s >= (result.calls - 4) / 10  # a pool that was idle lets a few go at once
