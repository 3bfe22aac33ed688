"""Which job gets the next free slot when many wait, when workers die, and when messages are lost."""

import asyncio
from datetime import timedelta

import pytest
from tests.conftest import take_messages

from threadmill import FailureKind, JobState
from threadmill.queue import make_app
from threadmill_worker.lifecycle.progress import Progress
from threadmill_worker.maintenance import sweep

pytestmark = pytest.mark.integration


@pytest.fixture
def offer(job_store, client):
    """Offers more free slots, and returns the jobs that were dispatched for them."""

    async def offer(free: int) -> list[str]:
        await job_store.renew([], free_slots=free)
        return take_messages(client)

    return offer


@pytest.fixture
def one_permit(store, keys):
    """The pool of the endpoint has one permit; workers store its limits with their first start."""
    for pool in ("emulator", "emulator/emulator"):
        store.hset(keys.pool(pool), "set_concurrent", 1)


@pytest.fixture
def create(client):
    return lambda **fields: client.enqueue({"prompt": "Why?", **fields}).id


async def test_an_urgent_job_is_next_though_thousands_wait(client, job_store, offer):
    client.enqueue_many({"prompt": "Why?", "batch": "large"} for _ in range(5000))
    [first] = await offer(1)
    assert await offer(1) == [], "the slot is taken"
    urgent = client.enqueue({"prompt": "Now!", "priority": "high"}).id

    await job_store.take(first)
    assert await offer(1) == [urgent]


async def test_small_batches_are_not_behind_a_large_one(client, job_store, offer, store, keys):
    for pool in ("emulator", "emulator/emulator"):
        store.hset(keys.pool(pool), "known", 1)
    for name, size in (("large", 1000), ("small", 10), ("other", 10)):
        client.enqueue_many({"prompt": "Why?", "batch": name} for _ in range(size))

    batches = []
    while len(batches) < 30:
        dispatched = await offer(4)
        assert len(dispatched) == 4
        for job_id in dispatched:
            batches.append((await job_store.take(job_id)).job.batch)
    assert [batches[:30].count(name) for name in ("large", "small", "other")] == [10, 10, 10]


async def test_interrupted_jobs_come_first(create, job_store, offer):
    interrupted = create(priority="low")
    assert await offer(1) == [interrupted]
    await job_store.take(interrupted)
    await job_store.save(job_store.leases[interrupted], Progress(deadline_at=0, messages=1))
    urgent = create(priority="high")
    await job_store.hand_back(job_store.leases[interrupted])

    assert await offer(2) == [interrupted, urgent]


async def test_a_job_handed_back_before_it_began_is_the_next_of_its_kind(create, job_store, offer):
    first, second = create(), create()
    assert await offer(1) == [first]
    await job_store.take(first)
    await job_store.hand_back(job_store.leases[first])

    assert await offer(2) == [first, second]


async def test_a_paused_batch_leaves_its_slots_to_others(client, create, job_store, offer):
    first, second = (create(batch="b") for _ in range(2))
    assert await offer(1) == [first]
    client.pause("b")
    other = create()

    assert await job_store.take(first) is None, "its message came before the pause"
    assert take_messages(client) == [other], "its slot is free at once"
    assert await offer(9) == []
    client.resume("b")
    assert take_messages(client) == [first, second], "in the order of their arrival"


@pytest.mark.settings(lease_s=0.5)
async def test_a_job_whose_deadline_passes_while_its_endpoint_is_paused_is_overdue(worker, until):
    worker.start()
    worker.client.pause_endpoint("emulator")
    job_id = worker.create(deadline_at=worker.client.store.now() + timedelta(seconds=0.5))
    other = worker.create()

    messages = await asyncio.to_thread(until, worker.take_messages)
    assert messages == [job_id]
    assert (await worker.see_through(job_id)).failure.kind is FailureKind.OVERDUE
    assert worker.record(other).state is JobState.QUEUED


@pytest.mark.settings(lease_s=0.5, sweep_interval_s=0.1)
@pytest.mark.usefixtures("one_permit")
@pytest.mark.parametrize("purge", [False, True], ids=["its worker died", "celery purge"])
async def test_a_job_whose_message_is_lost_is_dispatched_again(worker, store, keys, until, monkeypatch, purge):
    monkeypatch.setattr(sweep, "DELIVERY_GRACE_S", 0.5)
    worker.start()
    job_id = worker.create()
    await asyncio.to_thread(until, lambda: store.zscore(keys.dispatched, job_id))
    if purge:
        with make_app(worker.settings) as app:
            assert app.control.purge() == 1
    else:
        assert worker.take_messages() == [job_id]

    messages = await asyncio.to_thread(until, worker.take_messages)
    assert messages == [job_id], "though its pool has one permit, and the job had taken it"
    assert (await worker.see_through(job_id)).ok


@pytest.mark.usefixtures("one_permit")
async def test_a_job_whose_worker_died_before_it_began_does_not_wait_for_its_own_permit(
    create, job_store, offer, store, keys
):
    job_id = create()
    assert await offer(1) == [job_id]
    await job_store.take(job_id)
    store.zadd(keys.leases, {job_id: 1})
    await job_store.sweep()

    assert await offer(1) == [job_id]


@pytest.mark.usefixtures("one_permit")
@pytest.mark.endpoint(wire="responses", model="emulator", assistant=None)
async def test_a_job_in_the_batch_lane_takes_no_permit_of_its_pool(client, create, job_store, offer, store, keys):
    first, second = create(), create()
    assert await offer(1) == [first]
    await job_store.take(first)
    assert await offer(1) == []
    request = {"id": first, "owner": job_store.leases[first].owner, "lane": "emulator/emulator", "longest_s": 60}
    assert await job_store._run("lane/wait", **request) == ["waits"]

    assert take_messages(client) == [second]
    assert client.get(first).remote_batch == "-"
    assert store.hkeys(keys.pool_jobs(store.hget(keys.record(second), "pool"))) == [second]


async def test_a_job_that_its_silent_worker_saved_is_in_one_flow(create, job_store, offer, store, keys):
    """Rescued before it had progress, it is in its first flow, though it counts as interrupted from now on."""
    job_id = create()
    await offer(1)
    await job_store.take(job_id)
    store.zadd(keys.leases, {job_id: 1})
    await job_store.sweep()
    await job_store.save(job_store.leases[job_id], Progress(deadline_at=0, messages=1))

    _, adopted = await job_store.adopt(0)
    assert adopted == []
    assert len(list(store.scan_iter(keys.flow("*")))) == 1
    assert await offer(1) == [job_id]
    assert list(store.scan_iter(keys.flow("*"))) == []
