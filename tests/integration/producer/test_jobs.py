"""Enqueued jobs: wait, cancel, list, redrive, expire."""

import asyncio
import threading
import time
import uuid

import pytest
import redis

from threadmill import FailureKind, JobNotEnded, JobNotFound, JobState, WaitTimeout
from threadmill.errors import BatchNotFound

pytestmark = pytest.mark.integration


def test_a_wait_timeout_says_that_the_job_continues(client):
    handle = client.enqueue("Well?")
    began = time.monotonic()

    with pytest.raises(WaitTimeout, match=f"job {handle.id} has not finished after 0.2 s; it continues, so wait again"):
        handle.wait(timeout_s=0.2)
    assert 0.2 <= time.monotonic() - began < 10
    assert handle.get().state is JobState.QUEUED


@pytest.mark.parametrize("verb", ["get", "wait", "cancel", "redrive"])
def test_an_unknown_job_is_an_error(client, verb):
    job_id = str(uuid.uuid4())
    with pytest.raises(JobNotFound, match=f"there is no job {job_id}"):
        getattr(client, verb)(job_id)


def test_a_queued_job_is_cancelled_at_once(client):
    handle = client.enqueue({"prompt": "Well?", "metadata": {"order": "4711"}})

    assert handle.cancel() is JobState.CANCELLED
    result = handle.wait(0)
    assert (result.state, result.failure.kind) == (JobState.CANCELLED, FailureKind.CANCELLED)
    assert (result.metadata, result.runs, result.timings.started_at) == ({"order": "4711"}, 0, None)
    assert handle.cancel() is JobState.CANCELLED, "once more does no harm"


async def test_the_message_of_a_cancelled_job_is_ignored(worker, emulator):
    job_id = worker.create()
    worker.client.cancel(job_id)
    await worker.process.run(job_id, None)

    assert worker.record(job_id).state is JobState.CANCELLED
    assert emulator.requests == []


def test_a_wait_returns_when_the_job_ends(client):
    handle = client.enqueue("Well?")
    threading.Timer(0.3, handle.cancel).start()
    began = time.monotonic()

    assert handle.wait(timeout_s=60).state is JobState.CANCELLED
    assert time.monotonic() - began < 30


def test_jobs_are_listed_newest_first_by_state_and_by_batch(client):
    ids = [client.enqueue({"prompt": f"Question {n}?", "batch": f"b{n % 2}"}).id for n in range(6)]
    for job_id in ids[:2]:
        client.cancel(job_id)

    assert [record.id for record in client.jobs(state=JobState.QUEUED)] == ids[:1:-1]
    assert {record.id for record in client.jobs(state=JobState.CANCELLED)} == set(ids[:2])
    assert [record.id for record in client.jobs(batch="b0")] == ids[4::-2]
    assert [record.id for record in client.jobs(batch="b0", state=JobState.QUEUED)] == [ids[4], ids[2]]
    assert [record.id for record in client.jobs(state=JobState.QUEUED, limit=2)] == [ids[5], ids[4]]
    assert {record.id for record in client.jobs()} == set(ids)
    with pytest.raises(BatchNotFound, match=r"there is no batch 'b00', .* did you mean 'b0'"):
        client.jobs(batch="b00")


async def test_a_redriven_job_starts_over_and_keeps_its_spending(worker, emulator):
    emulator.faults(unauthorised=1, only="runs.create", times=1)
    job_id = worker.create()
    failed = await worker.see_through(job_id)

    assert worker.client.redrive(job_id) is JobState.QUEUED
    record = worker.record(job_id)
    assert (record.state, record.attempts, record.result, record.started_at) == (JobState.QUEUED, 0, None, None)
    assert record.history == (failed,)

    assert (await worker.see_through(job_id)).state is JobState.SUCCEEDED
    assert worker.client.redrive(job_id) is JobState.SUCCEEDED, "that one is left alone"
    assert worker.record(job_id).history == (failed,)


def test_a_cancelled_job_can_be_redriven(client):
    handle = client.enqueue("Well?")
    handle.cancel()

    assert client.redrive(handle.id) is JobState.QUEUED
    with pytest.raises(WaitTimeout):
        handle.wait(0.05)


#: What has no lifetime of its own: what is still to do, and who does it.
BOOKKEEPING = {"leases", "leftovers", "workers", "threads", "slots", "pools", "queue_counts"}


@pytest.mark.settings(result_ttl_s=100, failed_ttl_s=200, celery_results=True)
@pytest.mark.endpoint(max_reruns=0)
async def test_a_job_that_has_ended_can_be_deleted(worker, store, settings):
    job_id = worker.create(key="order-1")
    with pytest.raises(JobNotEnded, match="queued"):
        worker.client.delete(job_id)
    await worker.see_through(job_id)

    worker.client.delete(job_id)

    with pytest.raises(JobNotFound):
        worker.client.get(job_id)
    with pytest.raises(JobNotFound):
        worker.client.delete(job_id)
    assert worker.client.jobs() == []
    assert [key for key in store.scan_iter(f"{settings.key_prefix}:*") if job_id in key or "order-1" in key] == []
    assert worker.client.enqueue({"prompt": "Hello", "key": "order-1"}).is_new


async def test_all_keys_of_an_ended_job_expire(worker, store, settings):
    await worker.run(key="one", batch="b")
    await worker.run(assistant="asst_failed", key="two", batch="b")
    worker.client.cancel(worker.create(key="three", batch="b"))

    lifetimes = {name: store.ttl(name) for name in store.scan_iter(f"{settings.key_prefix}:*")}
    kept = {name.removeprefix(f"{settings.key_prefix}:") for name, ttl in lifetimes.items() if ttl < 0}
    assert kept <= BOOKKEEPING
    assert len(lifetimes) > 10
    celery = list(store.scan_iter("celery-task-meta-*"))
    assert celery
    assert all(store.ttl(name) > 0 for name in celery)


@pytest.mark.settings(result_ttl_s=100, failed_ttl_s=200)
@pytest.mark.endpoint(max_reruns=0)
async def test_results_and_failures_are_kept_as_long_as_configured(worker, store, settings):
    good = await worker.run()
    bad = await worker.run(assistant="asst_failed")

    for result, ttl_s in ((good, 100), (bad, 200)):
        assert ttl_s - 10 < store.ttl(f"{settings.key_prefix}:job:{result.job_id}") <= ttl_s


@pytest.mark.settings(result_ttl_s=100, failed_ttl_s=200)
@pytest.mark.endpoint(max_reruns=0)
async def test_a_batch_is_listed_while_any_of_its_jobs_is_kept(worker, store, settings):
    names = [f"{settings.key_prefix}:{part}" for part in ("batches", "batch:b", "batch:b:jobs", "batch:b:done")]
    await worker.run(assistant="asst_failed", batch="b")
    await worker.run(batch="b")
    assert all(190 < store.ttl(name) <= 200 for name in names)

    paused = worker.create(batch="b")
    worker.client.pause("b")
    await worker.run(batch="another")
    assert [store.ttl(name) for name in names] == [-1] * 4, "one that is open is listed, however long it waits"
    worker.client.cancel(paused)
    assert all(190 < store.ttl(name) <= 200 for name in names)


@pytest.mark.endpoint(max_reruns=0)
async def test_a_redriven_job_does_not_expire(worker, store, settings):
    failed = await worker.run(assistant="asst_failed", key="one", batch="b")
    worker.client.redrive(failed.job_id)

    names = [f"job:{failed.job_id}", "key:one", "batch:b", "batch:b:jobs", "jobs:queued"]
    assert {name: store.ttl(f"{settings.key_prefix}:{name}") for name in names} == dict.fromkeys(names, -1)


@pytest.mark.endpoint(unreachable_limit_s=0.2)
async def test_leftovers_are_listed_and_deleted_when_the_server_is_back(worker, emulator):
    emulator.faults(error_500=1, only="threads.delete")
    result = await worker.run()
    assert result.state is JobState.SUCCEEDED, "an answer is an answer"
    [left] = worker.client.leftovers()
    assert (left.endpoint, left.kind) == ("emulator", "thread")
    assert [left.id] == emulator.stats(ids="1")["threads"]["ids"]

    emulator.faults()
    assert worker.client.retry_leftovers() == 1
    await worker.process.clean_up()
    assert worker.client.leftovers() == []
    assert emulator.threads() == 0


def test_batches_are_listed_with_their_jobs_until_they_expire(client, store):
    client.enqueue_many([{"prompt": f"{number}", "batch": "first"} for number in range(3)])
    [job] = client.enqueue_many([{"prompt": "Well?", "batch": "second"}])
    client.cancel(job.id)

    second, first = client.batches()

    assert (first.name, first.total, first.jobs[JobState.QUEUED]) == ("first", 3, 3)
    assert (second.name, second.total, second.jobs[JobState.CANCELLED]) == ("second", 1, 1)
    store.delete(f"{client.settings.key_prefix}:batch:second")
    assert [batch.name for batch in client.batches()] == ["first"]
    assert store.zrange(f"{client.settings.key_prefix}:batches", 0, -1) == ["first"]


def test_thousands_of_jobs_are_cancelled_and_redriven_in_few_round_trips(client, monkeypatch):
    client.enqueue_many({"prompt": "Well?", "batch": "b", "key": f"k{number}"} for number in range(650))
    trips = []
    execute = redis.client.Pipeline.execute
    monkeypatch.setattr(
        redis.client.Pipeline, "execute", lambda self, *a, **k: trips.append(1) or execute(self, *a, **k)
    )

    states = client.cancel_batch("b")
    assert set(states.values()) == {JobState.CANCELLED}
    assert (len(states), len(trips)) == (650, 3 + 2 * 3), "its states, and three groups of jobs"
    assert client.batch("b").jobs == {JobState.CANCELLED: 650, JobState.QUEUED: 0}
    assert set(client.store.redrive_many([record.id for record in client.jobs(batch="b", limit=650)]).values()) == {
        JobState.QUEUED
    }
    assert client.batch("b").jobs == {JobState.CANCELLED: 0, JobState.QUEUED: 650}


async def test_an_outage_is_announced_until_the_server_is_back(worker, emulator, until):
    emulator.faults(drop_before=1, only="threads.create")
    job = worker.create()
    running = asyncio.create_task(worker.see_through(job))

    [failing] = await asyncio.to_thread(until, worker.client.failing_endpoints)
    assert (failing.endpoint, failing.until > failing.since) == ("emulator", True)
    place = worker.record(job).progress_summary
    assert place is not None
    assert place.errors.reason == failing.reason
    assert place.errors.count >= 1
    assert worker.client.failing_endpoints("emulator")[0].reason == failing.reason
    assert not worker.client.failing_endpoints("elsewhere")
    emulator.faults()
    assert (await running).ok
    await asyncio.to_thread(until, lambda: not worker.client.failing_endpoints())


async def test_a_refusal_of_an_endpoint_is_announced_with_its_message(worker, emulator, until):
    emulator.faults(rate_limit_429=1, only="threads.create", retry_after_s=0.1)
    running = asyncio.create_task(worker.run())

    [failing] = await asyncio.to_thread(until, worker.client.failing_endpoints)
    assert (failing.endpoint, failing.jobs) == ("emulator", 1)
    assert failing.reason.startswith("429 ")
    emulator.faults()
    assert (await running).ok
    await asyncio.to_thread(until, lambda: not worker.client.failing_endpoints())
