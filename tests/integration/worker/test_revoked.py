"""What Celery's `revoke` does to jobs that no worker runs."""

import uuid

import pytest

from threadmill import JobState

pytestmark = pytest.mark.integration

TASK = "threadmill.run_job"


async def test_a_queued_job_is_cancelled_and_needs_no_message_any_more(worker, emulator):
    job_id = worker.create()
    await worker.process.cancel([job_id], running=False)

    assert worker.record(job_id).state is JobState.CANCELLED
    assert (await worker.process.run(job_id)).state == "cancelled"
    assert emulator.stats()["threads"]["created"] == 0


async def test_the_sender_of_a_queued_task_is_told(worker, job_store, shop):
    task_id = str(uuid.uuid4())
    await job_store.create(task_id, worker.client.check({"prompt": "Well?"}))
    await worker.process.cancel([task_id], running=False)

    assert shop.AsyncResult(task_id).get(timeout=5)["state"] == "cancelled"


async def test_an_unseen_job_is_cancelled_at_once_and_again_on_delivery(worker, shop, settings, emulator):
    job = {"prompt": "Well?"}
    sent = shop.send_task(TASK, args=[job], queue=settings.queue)
    await worker.process.cancel([sent.id], running=False)

    assert sent.get(timeout=5)["state"] == "cancelled"
    assert (await worker.process.run(sent.id, job)).state == "cancelled"
    assert worker.record(sent.id).state is JobState.CANCELLED
    assert emulator.stats()["threads"]["created"] == 0


async def test_a_job_revoked_before_it_is_sent_is_cancelled(worker, emulator):
    job_id = str(uuid.uuid4())
    await worker.process.cancel([job_id], running=True)

    assert (await worker.process.run(job_id, {"prompt": "Well?"})).state == "cancelled"
    assert emulator.stats()["threads"]["created"] == 0


async def test_the_result_of_somebody_elses_task_is_left_alone(worker, shop):
    """Remote control reaches the workers of all apps on a Redis."""
    task_id = str(uuid.uuid4())
    await worker.process.cancel([task_id], running=True)

    assert shop.AsyncResult(task_id).state == "PENDING"


async def test_a_job_that_has_ended_keeps_its_result(worker):
    job_id = (await worker.run()).job_id
    await worker.process.cancel([job_id], running=True)

    assert worker.record(job_id).state is JobState.SUCCEEDED
