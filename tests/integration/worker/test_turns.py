"""Jobs on one thread take turns, in the order they were enqueued: one at a time, none lost, whatever happens."""

import asyncio
import os
import signal
from datetime import UTC, datetime

import httpx
import pytest
from tests.integration.worker.holder import Holder

from threadmill import Client, JobState
from threadmill_worker.process import WorkerProcess

pytestmark = pytest.mark.integration


@pytest.fixture
def thread(emulator) -> str:
    """One on the server, made by nobody's job."""
    headers = {"Authorization": "Bearer k", "OpenAI-Beta": "assistants=v2"}
    return httpx.post(f"{emulator.base_url}/threads", json={}, headers=headers).json()["id"]


@pytest.fixture
async def job_store(job_store):
    """A worker with slots for all jobs."""
    await job_store.renew([], free_slots=100)
    return job_store


async def end(job_store: Holder, job_id: str, state: JobState = JobState.SUCCEEDED) -> None:
    record = await job_store.get(job_id)
    await job_store.end(record.ended(state, None, datetime.now(UTC)))


def in_order(client: Client, job_ids: list[str], store, settings) -> bool:
    """Whether each began when the one before it had ended, by the clock of Redis."""
    stamps = [store.hmget(f"{settings.key_prefix}:job:{id}", "started_at", "finished_at") for id in job_ids]
    return all(float(stamps[n][1]) <= float(stamps[n + 1][0]) for n in range(len(stamps) - 1))


@pytest.mark.settings(lease_s=1, sweep_interval_s=0.5, concurrency=10)
def test_jobs_of_one_thread_run_one_by_one_though_a_worker_dies(
    settings, client, emulator, thread, start_worker, store, until
):
    workers = [start_worker(settings) for _ in range(2)]
    job = {"prompt": "[[run_s=0.1]]\nGo on.", "thread": thread}
    ids = [handle.id for handle in client.enqueue_many([{**job, "metadata": {"n": str(n)}} for n in range(20)])]

    until(lambda: client.get(ids[4]).state is not JobState.QUEUED)
    owner = until(lambda: next((o for o in (client.get(id).owner for id in ids) if o), None))
    os.kill(next(each.pid for each in workers if f":{each.pid}:" in owner), signal.SIGKILL)

    results = [client.wait(id, 60) for id in ids]
    assert [result.failure for result in results if not result.ok] == []
    assert in_order(client, ids, store, settings)
    assert not store.exists(f"{settings.key_prefix}:turns:emulator/{thread}")


@pytest.mark.settings(sweep_interval_s=60)
async def test_a_job_that_waits_for_its_turn_stays_queued_and_spends_nothing(worker, job_store):
    first, second = (worker.create(thread="thread_x") for _ in range(2))

    assert await job_store.take(second) is None
    assert await worker.process.run(second, None) is None, "its message is used up, and that is no loss"
    record = worker.record(second)
    assert (record.state, record.attempts, record.started_at) == (JobState.QUEUED, 0, None)

    assert await job_store.take(first)
    assert await job_store.take(second) is None
    worker.take_messages()
    await end(job_store, first)
    assert worker.take_messages() == [second]
    assert await job_store.take(second)


async def test_only_jobs_of_one_thread_wait_for_each_other(worker, job_store):
    jobs = [worker.create(thread="thread_x"), worker.create(thread="thread_y"), worker.create(), worker.create()]
    jobs.append(worker.create(keep_thread=True))

    assert [bool(await job_store.take(job_id)) for job_id in jobs] == [True] * 5


async def test_a_lost_reply_does_not_lose_the_next_job(worker, job_store):
    first, second = (worker.create(thread="thread_x") for _ in range(2))
    await job_store.take(first)
    await end(job_store, first)
    await end(job_store, first)  # as after a reply that never came

    assert worker.take_messages() == [first, second], "each is dispatched once"


async def test_a_head_cancelled_while_it_is_queued_makes_way_for_the_next(client, job_store, store, settings):
    ids = [client.enqueue({"prompt": "Well?", "thread": "thread_x"}).id for _ in range(3)]
    [message] = store.lrange(settings.queue, 0, -1)
    assert ids[0] in message, "only the first is dispatched"
    store.delete(settings.queue)
    client.cancel(ids[0])

    [message] = store.lrange(settings.queue, 0, -1)
    assert ids[1] in message
    assert await job_store.take(ids[2]) is None
    assert await job_store.take(ids[1])


async def test_one_cancelled_while_it_waits_is_passed_over(client, worker, job_store):
    first, second, third = (worker.create(thread="thread_x") for _ in range(3))
    await job_store.take(first)
    client.cancel(second)
    assert await job_store.take(third) is None
    worker.take_messages()
    await end(job_store, first)

    assert worker.take_messages() == [third]


async def test_a_job_keeps_its_turn_when_it_is_handed_back_or_rescued(worker, job_store, store, settings):
    first, second = (worker.create(thread="thread_x") for _ in range(2))
    await job_store.take(first)
    await job_store.hand_back(job_store.leases[first])
    assert await job_store.take(second) is None

    await job_store.take(first)
    store.zadd(f"{settings.key_prefix}:leases", {first: 0})  # its worker died
    assert await job_store.take(second) is None
    assert [job_id for job_id, _ in await job_store.sweep()] == [first]
    assert await job_store.take(second) is None
    assert await job_store.take(first)


async def test_a_redriven_job_is_the_last_of_its_thread(worker, job_store):
    first, second = (worker.create(thread="thread_x") for _ in range(2))
    await job_store.take(first)
    await end(job_store, first, JobState.FAILED)
    assert worker.client.store.redrive(first) is JobState.QUEUED

    assert await job_store.take(first) is None
    assert await job_store.take(second)


async def test_a_job_without_a_record_does_not_block_its_thread(worker, job_store, store, settings):
    first, second = (worker.create(thread="thread_x") for _ in range(2))
    store.delete(f"{settings.key_prefix}:job:{first}")

    assert await job_store.take(second)


async def test_only_the_first_of_a_thread_is_dispatched_again_when_messages_are_lost(worker, job_store):
    ids = [worker.create(thread="thread_x") for _ in range(5)]
    other = worker.create()
    worker.take_messages()

    assert await job_store.undelivered(-1) == [ids[0], other]
    assert await job_store.return_to_queue([*ids, other]) == [*ids, other]
    assert set(worker.take_messages()) == {ids[0], other}


async def test_a_first_job_that_is_not_in_the_ready_queue_is_adopted(worker, job_store, store, settings):
    ids = [worker.create(thread="thread_x") for _ in range(3)]
    worker.take_messages()
    store.delete(f"{settings.key_prefix}:dispatched")

    _, adopted = await job_store.adopt(0)
    assert adopted == worker.take_messages() == ids[:1]


@pytest.mark.settings(sweep_interval_s=0.1)
def test_a_flushed_queue_loses_no_turn(settings, client, emulator, thread, start_worker, store):
    ids = [client.enqueue({"prompt": "[[run_s=0]]\nGo on.", "thread": thread}).id for _ in range(3)]
    store.delete(settings.queue)
    start_worker(settings)

    assert all(client.wait(id, 60).ok for id in ids)
    assert in_order(client, ids, store, settings)


async def test_a_plain_celery_message_with_a_thread_takes_its_turn_too(worker, job_store):
    first = worker.create(thread="thread_x")
    foreign = "7d1bd8ab-9b41-4e7f-8e25-27be6cf1a5b9"

    assert await worker.process.run(foreign, {"prompt": "Well?", "thread": "thread_x"}) is None
    assert worker.record(foreign).state is JobState.QUEUED
    await job_store.take(first)
    worker.take_messages()
    await end(job_store, first)
    assert worker.take_messages() == [foreign]


async def test_twenty_jobs_over_two_workers_in_one_loop(worker, settings, store, emulator, thread):
    """The same as with processes, with every message delivered to both workers."""
    processes = [WorkerProcess(settings) for _ in range(2)]
    ids = [worker.create("[[run_s=0]]\nGo on.", thread=thread) for _ in range(20)]
    deliveries = list(reversed(ids))  # of foreign clients, perhaps: only the first runs
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        while not worker.record(ids[-1]).result:
            for job_id in deliveries:
                for process in processes:
                    tasks.create_task(process.run(job_id, None))
            await asyncio.sleep(0.01)
            deliveries = worker.take_messages()

    assert in_order(worker.client, ids, store, settings)
    assert {worker.record(id).attempts for id in ids} == {1}
    for process in processes:
        await process.close()
