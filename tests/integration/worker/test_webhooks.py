"""What a webhook does in Redis: it finds the worker whose job awaits the run."""

import asyncio

import pytest

from threadmill_worker.lifecycle.progress import Progress
from threadmill_worker.store.jobs import AwaitedRun
from threadmill_worker.store.webhooks import BatchEnded, RunEnded, WebhookStore

pytestmark = [
    pytest.mark.integration,
    pytest.mark.endpoint(wire="responses", model="emulator", assistant=None, webhook_secret_env="HOOK_SECRET"),
    pytest.mark.settings(sweep_interval_s=60),
]

PROGRESS = Progress(deadline_at=0, messages=1)


@pytest.fixture
async def webhooks(settings, job_store):
    """What the worker `a-worker` reads."""
    store = WebhookStore(settings, "a-worker")
    yield store
    await store.close()


async def news(webhooks):
    return await asyncio.wait_for(webhooks.read(), 60)


@pytest.fixture
async def awaiting(worker, job_store):
    """A job of this worker that awaits a run."""
    job_id = worker.create()
    await job_store.take(job_id)
    await job_store.save(job_store.leases[job_id], PROGRESS, awaited=AwaitedRun("emulator", "resp_1", 60))
    return job_id


async def test_the_worker_of_the_job_is_woken(worker, awaiting, webhooks):
    assert worker.client.wake("emulator", "resp_1")
    assert await news(webhooks) == RunEnded(awaiting, "resp_1")
    assert webhooks.are_arriving("emulator")


async def test_a_webhook_may_come_before_the_id_of_the_run_is_saved(worker, job_store, webhooks):
    assert not worker.client.wake("emulator", "resp_1")
    job_id = worker.create()
    await job_store.take(job_id)
    await job_store.save(job_store.leases[job_id], PROGRESS, awaited=AwaitedRun("emulator", "resp_1", 60))
    assert await news(webhooks) == RunEnded(job_id, "resp_1")


async def test_after_a_job_has_moved_its_new_worker_is_woken(worker, settings, job_store, awaiting):
    await job_store.hand_back(job_store.leases[awaiting])
    assert worker.client.wake("emulator", "resp_1"), "nobody holds the job: its next attempt begins with a poll"
    job_store._name = "another-worker"
    await job_store.take(awaiting)
    other = WebhookStore(settings, "another-worker")
    worker.client.wake("emulator", "resp_1")
    assert await news(other) == RunEnded(awaiting, "resp_1")
    await other.close()


@pytest.mark.parametrize("run", ["resp_0", "resp_1 ", "resp_1:x", "é"])
async def test_other_runs_wake_nobody(worker, awaiting, run, store, keys):
    assert not worker.client.wake("emulator", run)
    assert not worker.client.wake("other", "resp_1")
    assert not store.exists(keys.woken("a-worker"))


async def test_a_later_run_takes_the_place_of_an_earlier_one(worker, job_store, awaiting, webhooks):
    await job_store.save(job_store.leases[awaiting], PROGRESS, awaited=AwaitedRun("emulator", "resp_2", 60))
    assert not worker.client.wake("emulator", "resp_1")
    assert worker.client.wake("emulator", "resp_2")
    assert await news(webhooks) == RunEnded(awaiting, "resp_2")


async def test_an_ended_job_awaits_nothing_but_its_webhook_counts(worker, settings, store, keys):
    job_id = worker.create()
    running = asyncio.create_task(worker.see_through(job_id))
    result = await running
    run = worker.client.store.fields(job_id)
    assert result.ok
    assert "awaits" not in run
    [awaited] = store.scan_iter(keys.awaited("*"))
    assert not worker.client.wake("emulator", awaited.rpartition("/")[2])
    assert store.exists(keys.webhooks("emulator"))
    assert not list(store.scan_iter(keys.woken("*")))


async def test_a_worker_that_reads_nothing_keeps_little(worker, awaiting, store, keys):
    for _ in range(1005):
        worker.client.wake("emulator", "resp_1")
    assert store.llen(keys.woken("a-worker")) == 1000
    assert 0 < store.ttl(keys.woken("a-worker")) <= 60


async def test_any_worker_of_the_endpoint_is_told_of_a_batch(worker, webhooks):
    assert worker.client.wake_batch("emulator", "batch_1")
    assert await news(webhooks) == BatchEnded("emulator", "batch_1")
