"""Remote things the jobs of a batch share: made once, and deleted with the last of these jobs."""

import asyncio
from datetime import UTC, datetime

import pytest
from tests.integration.worker.holder import Holder

from threadmill import JobState
from threadmill.store.remote_records import LeftoverRecord
from threadmill_worker.store.jobs import Busy

pytestmark = pytest.mark.integration

NAME = "emulator/file/abc123/assistants"
FILE = LeftoverRecord(endpoint="emulator", kind="file", id="file-1")


@pytest.fixture
async def ledger(settings):
    ledger = Holder(settings, "a-worker", lambda job_id: None)
    yield ledger
    await ledger.close()


async def end(ledger: Holder, job_id: str) -> None:
    await ledger.take(job_id)
    record = await ledger.get(job_id)
    await ledger.end(record.ended(JobState.SUCCEEDED, None, datetime.now(UTC)))


async def test_of_many_jobs_at_once_one_makes_it_and_all_use_it(worker, ledger):
    jobs = [worker.create(batch="b") for _ in range(50)]
    made: list[str] = []

    async def get(job_id: str) -> str:
        found = await ledger.claim_shared("b", NAME, job_id, 30)
        if isinstance(found, Busy):
            await asyncio.sleep(0.01)
            return await get(job_id)
        if found is not None:
            return found
        made.append(job_id)
        await asyncio.sleep(0.05)  # the upload
        assert await ledger.add_shared("b", NAME, FILE)
        return FILE.id

    assert set(await asyncio.gather(*(get(job_id) for job_id in jobs))) == {"file-1"}
    assert len(made) == 1


async def test_each_step_can_be_repeated(worker, ledger):
    job_id = worker.create(batch="b")
    assert await ledger.claim_shared("b", NAME, job_id, 30) is None
    assert await ledger.claim_shared("b", NAME, job_id, 30) is None, "still the one who makes it"
    assert await ledger.add_shared("b", NAME, FILE)
    assert await ledger.add_shared("b", NAME, FILE)
    assert await ledger.claim_shared("b", NAME, job_id, 30) == "file-1"
    await ledger.release_shared("b", NAME, job_id)
    assert await ledger.claim_shared("b", NAME, job_id, 30) == "file-1", "there is nothing to give back any more"


async def test_who_cannot_make_it_lets_another_try_at_once(worker, ledger):
    first, second = worker.create(batch="b"), worker.create(batch="b")
    assert await ledger.claim_shared("b", NAME, first, 30) is None
    assert await ledger.claim_shared("b", NAME, second, 30) == Busy()
    await ledger.release_shared("b", NAME, second)
    assert await ledger.claim_shared("b", NAME, second, 30) == Busy(), "that was not its own to give"
    await ledger.release_shared("b", NAME, first)
    assert await ledger.claim_shared("b", NAME, second, 30) is None


async def test_a_slow_uploader_is_overtaken_and_gets_the_shared_file(worker, ledger):
    first, second = worker.create(batch="b"), worker.create(batch="b")
    assert await ledger.claim_shared("b", NAME, first, 0.01) is None
    await asyncio.sleep(0.02)
    assert await ledger.claim_shared("b", NAME, second, 30) is None
    assert await ledger.add_shared("b", NAME, FILE)
    assert not await ledger.add_shared("b", NAME, FILE.model_copy(update={"id": "file-2"}))
    assert await ledger.claim_shared("b", NAME, first, 30) == "file-1"


async def test_batches_and_names_are_apart(worker, ledger):
    first, second = worker.create(batch="b"), worker.create(batch="c")
    await ledger.add_shared("b", NAME, FILE)
    assert await ledger.claim_shared("c", NAME, second, 30) is None
    assert await ledger.claim_shared("b", "emulator/file/def/vision", first, 30) is None


@pytest.mark.parametrize(
    "cancelled", [False, True], ids=["the last one runs", "the last one is cancelled in the queue"]
)
async def test_the_last_job_takes_it_along(worker, ledger, store, settings, cancelled):
    first, last = worker.create(batch="b"), worker.create(batch="b")
    await ledger.claim_shared("b", "emulator/file/def/vision", first, 30)  # never made
    await ledger.add_shared("b", NAME, FILE)
    await end(ledger, first)
    assert worker.client.leftovers() == []

    if cancelled:
        worker.client.cancel(last)
    else:
        await end(ledger, last)
    [left] = worker.client.leftovers()
    assert (left.endpoint, left.kind, left.id) == ("emulator", "file", "file-1")
    assert await ledger.take_leftover() == FILE
    await ledger.drop_leftover(FILE)
    assert worker.client.leftovers() == []
    assert not store.exists(f"{settings.key_prefix}:batch:b:shared")


async def test_a_latecomer_lends_to_nobody(worker, ledger, store, settings):
    job_id = worker.create(batch="b")
    await end(ledger, job_id)
    assert await ledger.claim_shared("b", NAME, job_id, 30) is None
    assert not await ledger.add_shared("b", NAME, FILE), "it would stay for ever"
    assert not store.exists(f"{settings.key_prefix}:batch:b:shared")


async def test_a_redriven_job_creates_it_again(worker, ledger):
    job_id = worker.create(batch="b")
    await ledger.add_shared("b", NAME, FILE)
    worker.client.cancel(job_id)
    worker.client.redrive(job_id)
    assert await ledger.claim_shared("b", NAME, job_id, 30) is None
