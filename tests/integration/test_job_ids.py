"""Job ids from outside, at every door: the client, the task, the remote control."""

import pytest

from threadmill import JobNotFound

pytestmark = pytest.mark.integration

BAD = ["../../x", "X:events", "", "a b"]


@pytest.mark.parametrize("method", ["get", "wait", "cancel", "redrive"])
def test_the_client_refuses_an_id_that_addresses_another_key(client, method):
    job = client.enqueue("Well?")

    with pytest.raises(JobNotFound, match="is not a job id"):
        getattr(client, method)(f"{job.id}:events")


def test_the_client_follows_no_such_id(client):
    with pytest.raises(JobNotFound, match="is not a job id"):
        next(client.follow("X:events"))


@pytest.mark.parametrize("job_id", BAD)
async def test_a_foreign_task_with_an_invalid_id_makes_no_record(worker, emulator, store, job_id):
    result = await worker.process.run(job_id, {"prompt": "Well?"})

    assert (result.state, result.failure.kind) == ("failed", "rejected")
    assert "is not a job id" in result.failure.message
    assert not list(store.scan_iter(f"{worker.settings.key_prefix}:job:*"))
    assert emulator.stats()["threads"]["created"] == 0


async def test_a_revoked_id_that_is_no_job_id_touches_no_key(worker, store):
    job_id = worker.create()

    await worker.process.cancel([f"{job_id}:events", "../x"], running=True)

    assert not list(store.scan_iter(f"{worker.settings.key_prefix}:revoked:*"))
    assert worker.record(job_id).state == "queued"
