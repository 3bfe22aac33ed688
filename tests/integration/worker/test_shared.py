"""Remote things the jobs of a batch share: made once, and deleted with the last of these jobs."""

import asyncio
from datetime import UTC, datetime

import pytest
from tests.integration.worker.holder import Holder

from threadmill import JobState
from threadmill.store.records.remote import LeftoverRecord
from threadmill_worker.store.remote import Busy

pytestmark = pytest.mark.integration

NAME = "emulator/file/abc123/assistants"
FILE = LeftoverRecord(endpoint="emulator", kind="file", id="file-1")


async def end(job_store: Holder, job_id: str) -> None:
    await job_store.take(job_id)
    record = await job_store.get(job_id)
    await job_store.end(record.ended(JobState.SUCCEEDED, None, datetime.now(UTC)))


async def test_of_many_jobs_at_once_one_makes_it_and_all_use_it(worker, job_store):
    jobs = [worker.create(batch="b") for _ in range(50)]
    made: list[str] = []

    async def get(job_id: str) -> str:
        found = await job_store.claim_shared("b", NAME, job_id, 30)
        if isinstance(found, Busy):
            await asyncio.sleep(0.01)
            return await get(job_id)
        if found is not None:
            return found
        made.append(job_id)
        await asyncio.sleep(0.05)  # the upload
        assert await job_store.add_shared("b", NAME, FILE)
        return FILE.id

    assert set(await asyncio.gather(*(get(job_id) for job_id in jobs))) == {"file-1"}
    assert len(made) == 1


async def test_each_step_can_be_repeated(worker, job_store):
    job_id = worker.create(batch="b")
    assert await job_store.claim_shared("b", NAME, job_id, 30) is None
    assert await job_store.claim_shared("b", NAME, job_id, 30) is None, "still the one who makes it"
    assert await job_store.add_shared("b", NAME, FILE)
    assert await job_store.add_shared("b", NAME, FILE)
    assert await job_store.claim_shared("b", NAME, job_id, 30) == "file-1"
    await job_store.release_shared("b", NAME, job_id)
    assert await job_store.claim_shared("b", NAME, job_id, 30) == "file-1", "there is nothing to give back any more"


async def test_who_cannot_make_it_lets_another_try_at_once(worker, job_store):
    first, second = worker.create(batch="b"), worker.create(batch="b")
    assert await job_store.claim_shared("b", NAME, first, 30) is None
    assert await job_store.claim_shared("b", NAME, second, 30) == Busy()
    await job_store.release_shared("b", NAME, second)
    assert await job_store.claim_shared("b", NAME, second, 30) == Busy(), "that was not its own to give"
    await job_store.release_shared("b", NAME, first)
    assert await job_store.claim_shared("b", NAME, second, 30) is None


async def test_a_slow_uploader_is_overtaken_and_gets_the_shared_file(worker, job_store):
    first, second = worker.create(batch="b"), worker.create(batch="b")
    assert await job_store.claim_shared("b", NAME, first, 0.01) is None
    await asyncio.sleep(0.02)
    assert await job_store.claim_shared("b", NAME, second, 30) is None
    assert await job_store.add_shared("b", NAME, FILE)
    assert not await job_store.add_shared("b", NAME, FILE.model_copy(update={"id": "file-2"}))
    assert await job_store.claim_shared("b", NAME, first, 30) == "file-1"


async def test_batches_and_names_are_apart(worker, job_store):
    first, second = worker.create(batch="b"), worker.create(batch="c")
    await job_store.add_shared("b", NAME, FILE)
    assert await job_store.claim_shared("c", NAME, second, 30) is None
    assert await job_store.claim_shared("b", "emulator/file/def/vision", first, 30) is None


@pytest.mark.parametrize(
    "cancelled", [False, True], ids=["the last one runs", "the last one is cancelled in the queue"]
)
async def test_the_last_job_takes_it_along(worker, job_store, store, settings, cancelled):
    first, last = worker.create(batch="b"), worker.create(batch="b")
    await job_store.claim_shared("b", "emulator/file/def/vision", first, 30)  # never made
    await job_store.add_shared("b", NAME, FILE)
    await end(job_store, first)
    assert worker.client.leftovers() == []

    if cancelled:
        worker.client.cancel(last)
    else:
        await end(job_store, last)
    [left] = worker.client.leftovers()
    assert (left.endpoint, left.kind, left.id) == ("emulator", "file", "file-1")
    assert await job_store.take_leftover() == FILE
    await job_store.drop_leftover(FILE)
    assert worker.client.leftovers() == []
    assert not store.exists(f"{settings.key_prefix}:batch:b:shared")


async def test_a_latecomer_lends_to_nobody(worker, job_store, store, settings):
    job_id = worker.create(batch="b")
    await end(job_store, job_id)
    assert await job_store.claim_shared("b", NAME, job_id, 30) is None
    assert not await job_store.add_shared("b", NAME, FILE), "it would stay for ever"
    assert not store.exists(f"{settings.key_prefix}:batch:b:shared")


async def test_a_redriven_job_creates_it_again(worker, job_store):
    job_id = worker.create(batch="b")
    await job_store.add_shared("b", NAME, FILE)
    worker.client.cancel(job_id)
    worker.client.redrive(job_id)
    assert await job_store.claim_shared("b", NAME, job_id, 30) is None
