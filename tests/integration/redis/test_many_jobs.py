"""However many jobs there are, one command handles few of them, so that Redis is free for others."""

import json
import math
from datetime import UTC, datetime

import pytest
from tests.changed_scripts import changed_scripts
from tests.conftest import take_messages
from tests.integration.redis.test_scripts import FINISH
from tests.integration.worker.holder import Holder

from threadmill.store.keys import Keys
from threadmill.store.records.remote import LeftoverRecord
from threadmill.store.scripts import Scripts
from threadmill_worker.maintenance.heartbeats import Heartbeats
from threadmill_worker.maintenance.sweep import Sweep
from threadmill_worker.store.batch_lane import LaneStore, new_batch
from threadmill_worker.store.queue import AT_ONCE

pytestmark = pytest.mark.integration

JOBS_AT_ONCE, REFUSALS_AT_ONCE = 3, 8  # in lua/include/passes.lua


@pytest.fixture
def keys(settings):
    return Keys(settings.key_prefix)


@pytest.fixture
def scripts(store, settings):
    return Scripts(store, settings.key_prefix, settings.queue)


@pytest.fixture
async def job_store(settings):
    job_store = Holder(settings, "a-worker")
    yield job_store
    await job_store.close()


@pytest.fixture
def known_pool(store, keys):
    """The limits of the pool are known, so that any number of jobs is dispatched to it."""
    store.hset(keys.pool("emulator"), "known", 1)
    store.hset(keys.pool("emulator/emulator"), "known", 1)


@pytest.fixture
def offer(scripts):
    """Offers free slots by one script; returns whether it left jobs to dispatch."""
    return lambda free: (
        scripts.run("jobs/renew", {"lease_s": 60, "jobs": [], "worker": "a-worker", "free": free}) == ["renewed", 1]
    )


@pytest.fixture
def calls(store):
    """Returns how often Redis has executed a command, also in scripts."""
    return lambda command: store.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})["calls"]


def enqueue(client, number, **fields):
    return [handle.id for handle in client.enqueue_many({"prompt": "Why?", **fields} for _ in range(number))]


def test_a_script_dispatches_few_jobs_to_many_slots(client, offer, known_pool):
    enqueue(client, 2 * JOBS_AT_ONCE + 1)
    assert [offer(500) for _ in range(3)] == [True, True, False]
    assert len(take_messages(client)) == 2 * JOBS_AT_ONCE + 1


async def test_a_heartbeat_fills_all_slots(client, job_store, known_pool):
    enqueue(client, 70)
    await job_store.renew([], free_slots=60)
    assert len(take_messages(client)) == 60


def hold(client, flows):
    """Makes urgent flows that are held back."""
    for number in range(flows):
        enqueue(client, 1, batch=f"held-{number}", priority="high")
        client.limit_batch(f"held-{number}", 1)
        client.pause(f"held-{number}")


def test_a_script_asks_few_flows_that_cannot_start_a_job(client, offer, calls, known_pool):
    hold(client, 20)
    [free] = enqueue(client, 1)

    found = []
    for _ in range(3):
        before = calls("zrange")
        offer(10)
        assert calls("zrange") - before < 4 * REFUSALS_AT_ONCE
        found.append(take_messages(client))
    assert found == [[], [], [free]], "three scripts make the pass together"


async def test_a_heartbeat_asks_several_parts_of_the_flows(client, job_store, known_pool):
    hold(client, 60)
    [free] = enqueue(client, 1)
    await job_store.renew([], free_slots=10)
    assert take_messages(client) == [free]


async def test_a_heartbeat_does_not_ask_without_end(client, job_store, calls, known_pool):
    hold(client, 60)
    with changed_scripts("include/passes", REFUSALS_AT_ONCE=1):
        await job_store.renew([], free_slots=10)  # it also loads the scripts
        before = calls("evalsha")
        await job_store.renew([], free_slots=10)
    assert calls("evalsha") - before == 1 + 25


def test_a_job_of_a_new_flow_does_not_wait_until_a_pass_has_ended(client, offer, known_pool):
    hold(client, 60)
    offer(10)
    urgent = enqueue(client, 1, priority="high")
    assert take_messages(client) == urgent


def test_a_pass_starts_again_when_a_pool_opens(client, offer, known_pool):
    client.pause_endpoint("emulator")
    for number in range(150):
        enqueue(client, 1, tenant=f"tenant-{number}")
    offer(1)
    client.resume_endpoint("emulator")
    [first] = take_messages(client)
    assert client.get(first).job.tenant == "tenant-0", "it has waited longest"


def test_a_flow_that_stays_held_back_is_not_written_again(client, offer, calls):
    client.pause_endpoint("emulator")
    for number in range(20):
        enqueue(client, 1, tenant=f"tenant-{number}")
    for _ in range(4):  # a whole pass
        offer(1)
    before = calls("hset")
    offer(1)
    assert calls("hset") - before < 5


def test_few_expired_jobs_leave_the_list_of_ended_ones_at_a_time(client, scripts, store, keys):
    store.zadd(keys.jobs("failed"), {f"expired-{number}": 1 for number in range(95)})
    left = []
    for job_id in enqueue(client, 2):
        own = {"id": job_id, "owner": None, "result": json.dumps({}), "batch_counts": {}, "leftovers": []}
        scripts.run("jobs/finish", FINISH[1] | own)
        left.append(store.zcount(keys.jobs("failed"), 1, 1))
    assert left == [85, 75]


async def test_a_sweep_rescues_and_returns_all_jobs_some_at_a_time(client, settings, store, keys, until):
    lost = Holder(settings.model_copy(update={"lease_s": 0.001}), "a-lost-worker")
    sweeper = Holder(settings, "a-worker")
    ids = enqueue(client, 2 * AT_ONCE + 1)
    for job_id in ids:
        await lost.take(job_id)
    sweep = Sweep(settings, sweeper, None, Heartbeats(settings.lease_s, lambda: 1e9))
    await sweeper.redis.set(keys.sweep, "a-worker")

    assert len(await sweeper.rescue(1000)) == AT_ONCE
    await sweep._rescue()
    assert store.zcard(keys.leases) == 0
    assert set(await sweeper.return_to_queue(ids)) == set(ids)
    await lost.close()
    await sweeper.close()


async def test_messages_of_a_very_long_queue_are_not_all_read(job_store, store, settings, monkeypatch):
    monkeypatch.setattr("threadmill_worker.store.queue._MESSAGES", 200)
    message = '{"headers": {"id": "job-%d"}}'
    store.lpush(settings.queue, *(message % number for number in range(150)))
    assert await job_store.messages() == ({f"job-{number}" for number in range(150)}, True)
    store.lpush(settings.queue, *(message % number for number in range(150, 400)))
    assert await job_store.messages() == ({f"job-{number}" for number in range(200, 400)}, False)


def test_the_jobs_of_a_batch_are_read_a_few_hundred_at_a_time(client, store, keys, calls):
    store.zadd(keys.batch_jobs("large"), {f"job-{number}": number for number in range(650)})
    before = calls("zrevrange")
    assert client.store.batch_jobs("large") == [f"job-{number}" for number in reversed(range(650))]
    assert calls("zrevrange") - before == 3


async def test_a_large_remote_batch_is_filled_and_moved_some_jobs_at_a_time(settings, job_store, store, keys, calls):
    lane_store = LaneStore(settings, "a-worker", job_store.redis, lambda: 0.0)
    ids = [f"job-{number:03}" for number in range(600)]
    with store.pipeline() as pipe:
        for number, job_id in enumerate(ids):
            pipe.hset(keys.record(job_id), mapping={"remote_batch": "-", "format": 99 if number < 10 else 1})
            pipe.zadd(keys.lane("emulator"), {job_id: number + 1})
        pipe.execute()
    endpoint = settings.endpoints["emulator"].model_copy(update={"batch_lane_max_jobs": 550})
    first, *parts = (new_batch(name, "emulator", datetime.now(UTC)) for name in ("first", "second", "third"))

    before = calls("evalsha")
    assert await lane_store.collect("emulator", first, endpoint) == 550
    assert calls("evalsha") - before >= 3
    assert store.zrange(keys.lane("emulator"), 0, -1) == [*ids[:10], *ids[560:]], "newer ones stay"
    await lane_store.replace(first, zip(parts, (ids[10:300], ids[300:560]), strict=True), [])
    assert store.hkeys(keys.remote_batches) == ["second", "third"]
    assert store.smembers(keys.remote_batch("third")) == set(ids[300:560])
    assert not store.exists(keys.remote_batch("first"))


def test_leftovers_are_read_and_retried_a_few_hundred_at_a_time(client, store, keys, calls):
    left = [LeftoverRecord(endpoint="emulator", kind="file", id=f"file-{number}").to_json() for number in range(650)]
    store.zadd(keys.leftovers, dict.fromkeys(left, math.inf))
    store.hset(keys.leftover_attempts, mapping=dict.fromkeys(left, 3))

    before = calls("zrange"), calls("hmget"), calls("zadd")
    assert {each.tries for each in client.leftovers()} == {3}
    assert client.retry_leftovers() == 650
    assert [now - then for now, then in zip((calls("zrange"), calls("hmget"), calls("zadd")), before, strict=True)] == [
        6,
        3,
        3,
    ]
    assert {each.tries for each in client.leftovers()} == {0}


async def test_queued_jobs_that_are_not_ready_are_found_in_parts(client, job_store, store, keys):
    ids = enqueue(client, AT_ONCE + 5, tenant="lost")
    store.zadd(keys.jobs("queued"), dict.fromkeys(ids, 1))  # as after a rescue of many
    for key in (keys.tenants("normal"), keys.flows("normal", "lost"), *store.keys(keys.flow("*"))):
        store.delete(key)
    start, first = await job_store.adopt(0)
    end, second = await job_store.adopt(start)
    assert (start, end, {*first, *second}) == (AT_ONCE, 0, set(ids))
