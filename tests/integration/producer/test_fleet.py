"""The fleet in numbers: the queue by priority, its oldest job, and what else waits."""

import pytest

from threadmill.store.fleet.metrics import PRIORITIES

pytestmark = pytest.mark.integration


def jobs(client):
    return {priority: ready.jobs for priority, ready in client.fleet().ready.items() if ready.jobs}


def back_date(client, priority, seconds):
    """Makes all ready jobs of a priority look as if they had been ready for so much longer."""
    redis, keys = client.store._redis, client.store._keys
    for flow in redis.zrange(keys.waiting_since(priority), 0, -1):
        redis.zincrby(keys.waiting_since(priority), -seconds, flow)
        for job in redis.zrange(keys.flow(flow), 0, -1):
            redis.zincrby(keys.flow(flow), -seconds, job)


def test_an_empty_fleet(client):
    fleet = client.fleet()
    assert (fleet.created, fleet.messages, fleet.open_batches, fleet.workers, fleet.slots) == (0, 0, 0, 0, 0)
    assert fleet.ready.keys() == set(PRIORITIES)
    assert jobs(client) == {}


def test_ready_jobs_by_priority(client):
    client.enqueue_many([{"prompt": "?", "priority": priority} for priority in ("high", "normal", "normal", "low")])
    assert jobs(client) == {"high": 1, "normal": 2, "low": 1}
    assert client.fleet().created == 4
    [low] = [record.id for record in client.jobs() if record.job.priority == "low"]
    client.cancel(low)
    assert jobs(client) == {"high": 1, "normal": 2}


def test_a_job_with_a_start_time_is_not_ready(client):
    client.enqueue({"prompt": "?", "delay_s": 3600})
    assert jobs(client) == {}
    assert client.fleet().created == 1


def test_the_age_of_the_oldest(client):
    first, second = client.enqueue_many([{"prompt": "?"}, {"prompt": "?", "tenant": "other"}])
    back_date(client, "normal", 100)
    client.enqueue({"prompt": "the third"})
    assert 100 <= client.fleet().ready["normal"].oldest_age_s < 160
    client.cancel(first.id)
    assert client.fleet().ready["normal"].oldest_age_s >= 100, "that of the other tenant is as old"
    client.cancel(second.id)
    assert client.fleet().ready["normal"].oldest_age_s < 60


async def test_dispatched_jobs_are_not_ready(worker):
    client = worker.client
    for _ in range(3):
        worker.create()
    worker.start()
    job_ids = []
    while len(job_ids) < 3:
        job_ids += worker.take_messages()
        await worker.process.clean_up()
    assert jobs(client) == {}
    for job_id in job_ids:
        await worker.see_through(job_id)
    fleet = client.fleet()
    assert (fleet.workers, fleet.slots, fleet.deaf_workers) == (1, worker.settings.concurrency, 0)


async def test_jobs_that_come_first_do_not_hide_the_oldest(worker):
    client = worker.client
    first, second = worker.create(), worker.create()
    back_date(client, "normal", 100)
    client.store._scripts.run("queue/return", {"jobs": [second]})
    ages = client.fleet().ready["normal"]
    assert ages.jobs == 2
    assert 100 <= ages.oldest_age_s < 160
    client.cancel(first)
    assert client.fleet().ready["normal"].oldest_age_s < 60, "since it was returned"


async def test_open_batches(worker):
    await worker.run("Of a.", batch="a")
    job_id = worker.create(batch="b")
    assert worker.client.fleet().open_batches == 1
    worker.client.cancel(job_id)
    assert worker.client.fleet().open_batches == 0
    worker.client.redrive(job_id)
    assert worker.client.fleet().open_batches == 1


def test_counts_of_an_older_version_are_right_once_nothing_is_ready(client):
    """It neither counted what it added nor what it removed."""
    redis, keys = client.store._redis, client.store._keys
    handles = client.enqueue_many(["?", "?"])
    redis.hset(keys.queue_counts, "normal", -7)
    redis.delete(keys.waiting_since("normal"))
    assert client.fleet().ready["normal"].jobs == 0
    for handle in handles:
        client.cancel(handle.id)
    client.enqueue("?")
    assert jobs(client) == {"normal": 1}


def test_what_is_paused(client):
    client.pause_endpoint("emulator", "maintenance")
    assert client.fleet().paused == ("emulator",)
