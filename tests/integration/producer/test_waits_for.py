"""What a queued job waits for, in words. The free slots are those that a worker would announce."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from threadmill import JobState
from threadmill.settings.pools import pools_of
from threadmill.store.keys import Keys
from threadmill.store.records.worker import Worker

pytestmark = pytest.mark.integration


@pytest.fixture
def base_url():
    return "http://127.0.0.1:9"


@pytest.fixture
def keys(settings):
    return Keys(settings.key_prefix)


@pytest.fixture
def offer(client, store, keys):
    """Announces a worker with free slots."""

    def announce(free):
        card = Worker(name="w", seen_at=client.store.now(), concurrency=9, jobs=0, endpoints=("emulator",))
        store.hset(keys.workers, "w", card.model_dump_json())
        client.store._run("jobs/renew", lease_s=60, jobs=[], worker="w", free=free)

    return announce


@pytest.fixture
def claim(client):
    """Claims a job as a worker would."""
    return lambda job_id: client.store._run("jobs/claim", id=job_id, owner="w:1", lease_s=60)


def test_a_ready_job_waits_for_a_worker_and_then_for_a_slot(client, offer):
    first, second = (handle.id for handle in client.enqueue_many(["Why?", "So?"]))
    assert client.waits_for(first) == "a worker: none is running"
    offer(0)
    assert client.waits_for(first) == "a free slot of a worker"
    assert client.waits_for(second) == "a free slot of a worker; jobs like it that come first: 1"


def test_a_dispatched_job_waits_for_a_worker_to_take_its_message(client, offer, settings, claim):
    job_id = client.enqueue("Why?").id
    offer(1)
    expected = f"a worker to take its message from queue '{settings.queue}', sent 20"
    assert client.waits_for(job_id).startswith(expected)
    claim(job_id)
    assert client.waits_for(job_id) is None, "it runs"
    assert client.waits_for("unknown") is None


def test_a_delayed_job_waits_for_its_start_time(client, offer):
    moment = datetime.now(UTC) + timedelta(hours=1)
    job_id = client.enqueue({"prompt": "Why?", "start_at": moment}).id
    offer(1)
    assert client.waits_for(job_id) == f"its start time, {moment:%Y-%m-%d %H:%M:%S} UTC"


def test_a_job_waits_for_its_turn_on_its_thread(client, offer):
    first, second = (client.enqueue({"prompt": "Why?", "thread": "thread_1"}).id for _ in range(2))
    offer(0)
    assert client.waits_for(first) == "a free slot of a worker"
    assert client.waits_for(second) == f"its turn on its thread, after job {first}"


def test_a_job_waits_for_its_batch(client, offer, claim):
    first, second = (client.enqueue({"prompt": "Why?", "batch": "autumn"}).id for _ in range(2))
    client.pause("autumn")
    offer(2)
    assert client.waits_for(first) == "batch autumn, which is paused"
    client.limit_batch("autumn", 1)
    client.resume("autumn")
    claim(first)
    expected = "the end of another job of batch autumn, which runs at most 1 at a time"
    assert client.waits_for(second) == expected


def test_a_job_waits_for_its_paused_endpoint_until_it_is_resumed(client, offer, store, settings):
    client.pause_endpoint("emulator", "maintenance")
    job_id = client.enqueue("Why?").id
    offer(1)
    assert client.waits_for(job_id) == "emulator, which is paused: maintenance"
    [pool] = client.awaited_pools()
    assert (pool.waiting, pool.limited, pool.jobs) == (1, 1, 0)
    assert not store.llen(settings.queue)

    client.resume_endpoint("emulator")
    assert store.llen(settings.queue) == 1, "its message is sent at once"
    assert client.waits_for(job_id).startswith("a worker to take its message")
    [pool] = client.pools()
    assert (pool.waiting, pool.limited, pool.jobs) == (0, 0, 1)


def test_a_job_waits_for_a_shut_pool(client, offer, store, keys, settings):
    job_id = client.enqueue("Why?").id
    [pool] = pools_of(settings, client.get(job_id).job)
    store.hset(keys.pool(pool), mapping={"shut_until": time.time() + 60, "shut_reason": "429 Rate limit reached"})
    offer(1)
    assert client.waits_for(job_id).startswith("emulator, which is shut for ")
    assert client.waits_for(job_id).endswith(" s: 429 Rate limit reached")


def test_a_job_that_is_in_none_of_these_places_waits_for_the_sweep(client, store, keys):
    job_id = client.enqueue("Why?").id
    for flow in store.scan_iter(f"{keys.prefix}:flow:*"):
        store.delete(flow)
    assert client.get(job_id).state is JobState.QUEUED
    assert client.waits_for(job_id).startswith("the next sweep of a worker")
