"""Celery's copy of a result: for whom it is kept, and how long."""

import uuid

import pytest
from celery.result import AsyncResult

from threadmill import JobState
from threadmill.store.keys import celery_key

pytestmark = pytest.mark.integration

FOREIGN = {"prompt": "Why is the sky blue?"}


@pytest.fixture
def published(store):
    """The channels on which Celery's results are published."""
    with store.pubsub(ignore_subscribe_messages=True) as listening:
        listening.psubscribe(celery_key("*"))
        listening.get_message(timeout=5)
        yield lambda: listening.get_message(timeout=0.1)


async def test_a_job_of_threadmills_client_has_none(worker, store, published):
    done, cancelled = await worker.run(), worker.create()
    assert worker.client.cancel(cancelled) is JobState.CANCELLED

    assert not store.exists(celery_key(done.job_id), celery_key(cancelled))
    assert published() is None


@pytest.mark.settings(celery_results=True)
async def test_with_the_setting_it_has_one(worker, shop, published):
    result = await worker.run()

    assert shop.AsyncResult(result.job_id).get(timeout=5) == result.model_dump(mode="json")
    assert published()["channel"] == celery_key(result.job_id)


async def test_a_job_of_another_celery_client_has_one_whoever_ends_it(worker, shop, job_store, published):
    done, waiting = str(uuid.uuid4()), str(uuid.uuid4())
    await worker.process.run(done, FOREIGN)
    await job_store.create(waiting, worker.client.check(FOREIGN))
    assert worker.client.cancel(waiting) is JobState.CANCELLED

    assert shop.AsyncResult(done).get(timeout=5) == worker.client.wait(done).model_dump(mode="json")
    assert shop.AsyncResult(waiting).get(timeout=5)["state"] == "cancelled"
    assert {published()["channel"], published()["channel"]} == {celery_key(done), celery_key(waiting)}


async def test_it_goes_when_the_job_is_redriven(worker, shop, job_store, store):
    job_id = str(uuid.uuid4())
    await job_store.create(job_id, worker.client.check(FOREIGN))
    worker.client.cancel(job_id)
    worker.client.redrive(job_id)
    assert AsyncResult(job_id, app=shop).state == "PENDING"

    assert (await worker.see_through(job_id)).ok
    assert shop.AsyncResult(job_id).get(timeout=5)["state"] == "succeeded"


async def test_a_job_of_an_older_version_has_one_and_its_result_is_not_compressed(worker, store, keys):
    job_id = worker.create(prompt="Why? " * 200)
    store.hdel(keys.record(job_id), "sender")
    await worker.see_through(job_id)

    assert store.exists(celery_key(job_id))
    assert store.hget(keys.record(job_id), "result").startswith("{")


async def test_long_results_are_compressed_and_remain_readable_in_the_history(worker, store, keys, emulator):
    emulator.faults(unauthorised=1, only="runs.create", times=1)
    failed = await worker.run(prompt="Why? " * 200, metadata={"note": "long " * 100})
    assert store.hget(keys.record(failed.job_id), "result").startswith("zlib:")
    worker.client.redrive(failed.job_id)
    done = await worker.see_through(failed.job_id)

    assert worker.record(failed.job_id).history == (failed,)
    assert worker.client.store.results([failed.job_id]) == [done]
