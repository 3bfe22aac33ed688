"""The counters of a batch: what it spent, and why its jobs failed."""

import asyncio

import pytest

from threadmill import FailureKind, JobState
from threadmill.errors import BatchNotFound
from threadmill.job.result import ModelUsage, Usage, add_up
from threadmill_worker.store.jobs import Lease

pytestmark = [pytest.mark.integration, pytest.mark.endpoint(max_reruns=0)]


async def test_a_batch_counts_what_its_jobs_spent(worker):
    results = [await worker.run(f"Question {number}?", batch="b") for number in range(3)]
    failed = await worker.run("[[scenario=failed]] Why?", batch="b")
    worker.client.cancel(worker.create(batch="b"))
    await worker.run("Not of the batch.")

    batch = worker.client.batch("b")

    assert batch.jobs == {
        JobState.QUEUED: 0,
        JobState.RUNNING: 0,
        JobState.SUCCEEDED: 3,
        JobState.FAILED: 1,
        JobState.CANCELLED: 1,
    }
    assert batch.usage_by_model == (ModelUsage(model="emulator-1", usage=batch.usage),)
    assert batch.usage == sum((result.usage for result in (*results, failed)), Usage())
    assert batch.calls == sum(result.calls for result in (*results, failed))
    assert batch.failures == {failed.failure.kind: 1}, "a cancelled job is none that failed"
    assert batch.documents is None
    assert worker.client.batches() == [batch]


async def test_a_batch_has_a_limit_until_it_is_removed(worker):
    worker.create(batch="b")
    assert worker.client.batch("b").concurrent is None
    worker.client.limit_batch("b", 20)
    assert worker.client.batch("b").concurrent == 20
    worker.client.limit_batch("b", None)
    assert worker.client.batch("b").concurrent is None

    with pytest.raises(ValueError, match="`concurrent` is 0: give 1 or more, or pause the batch"):
        worker.client.limit_batch("b", 0)
    with pytest.raises(BatchNotFound):
        worker.client.limit_batch("c", 1)


async def test_the_end_of_a_job_is_counted_once(worker):
    result = await worker.run(batch="b")
    counted = worker.client.batch("b")

    await worker.process._job_store.finish(Lease(result.job_id, "it"), result, [])  # its reply was lost, say

    assert worker.client.batch("b") == counted


async def test_a_redriven_job_keeps_its_spending_but_only_its_last_failure(worker, emulator):
    job_id = worker.create("[[scenario=failed]] Why?", batch="b")
    first = await worker.see_through(job_id)
    other = await worker.run("[[scenario=failed]] How?", batch="b")
    assert worker.client.batch("b").failures == {FailureKind.SERVER_ERROR: 2}

    worker.client.redrive(job_id)
    batch = worker.client.batch("b")
    assert (batch.failures, batch.jobs[JobState.FAILED]) == ({FailureKind.SERVER_ERROR: 1}, 1)
    assert batch.calls == first.calls + other.calls

    emulator.faults(unauthorised=1, only="runs.create", times=1)
    second = await worker.see_through(job_id)
    batch = worker.client.batch("b")
    assert batch.failures == {FailureKind.SERVER_ERROR: 1, FailureKind.UNAUTHORISED: 1}
    assert batch.calls == first.calls + other.calls + second.calls


def test_redriving_a_cancelled_job_does_not_change_the_failures(client):
    handle = client.enqueue({"prompt": "Well?", "batch": "b"})
    handle.cancel()
    client.redrive(handle.id)

    assert client.batch("b").failures == {}


def test_failures_from_before_the_counters_are_not_counted(client, store):
    """A job that failed under an older version, sent again under this one."""
    handle = client.enqueue({"prompt": "Well?", "batch": "b"})
    handle.cancel()
    prefix = client.settings.key_prefix
    store.hset(f"{prefix}:job:{handle.id}", "state", "failed")
    store.hincrby(f"{prefix}:batch:b", "failed:overdue", 1)

    client.redrive(handle.id)

    assert client.batch("b").failures == {FailureKind.OVERDUE: 1}


async def test_a_job_ends_even_if_a_counter_overflows(worker):
    job_id = worker.create(batch="b")
    lease = worker.process._job_store.lease(job_id)
    record = await worker.process._job_store.claim(lease)
    absurd = Usage(prompt_tokens=10**30, completion_tokens=-5, total_tokens=7)
    result = record.ended(JobState.SUCCEEDED, None, record.created_at, usage=absurd, model="m", calls=3)

    await worker.process._job_store.finish(lease, result, [])

    batch = worker.client.batch("b")
    assert (batch.jobs[JobState.SUCCEEDED], batch.calls, batch.usage) == (1, 3, Usage(total_tokens=7))


@pytest.mark.endpoint(wire="responses", model="emulator", assistant=None, batch_lane_wait_s=0.2, first_poll_s=0.1)
@pytest.mark.settings(sweep_interval_s=0.1)
@pytest.mark.emulated(batch_s=0.3)
async def test_the_batch_lane_is_counted_apart(worker):
    cheap = worker.create("Why?", lane="batch", batch="b")
    plain = await worker.run("Why?", batch="b")
    await worker.process.run(cheap, None)
    while worker.record(cheap).result is None:
        for job_id in worker.take_messages():
            await worker.process.run(job_id, None)
        await asyncio.sleep(0.05)
    answered = worker.record(cheap).result

    assert (answered.lane, plain.lane) == ("batch", None)
    assert answered.model == plain.model == "emulator"
    batch = worker.client.batch("b")
    assert set(batch.usage_by_model) == set(add_up([*answered.usage_by_model, *plain.usage_by_model]))
    assert {part.lane for part in batch.usage_by_model} == {None, "batch"}


def test_an_unknown_batch_is_an_error(client):
    with pytest.raises(BatchNotFound, match=r"there is no batch 'none'.*`threadmill batch list`"):
        client.batch("none")
