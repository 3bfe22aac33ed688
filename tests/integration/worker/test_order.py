"""In which order and when jobs get a free slot: priority, tenants, limits of batches, start times."""

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest
from tests.conftest import take_messages

from threadmill import Client, JobState
from threadmill_worker.store.jobs import JobStore

pytestmark = pytest.mark.integration


class Slots:
    """The free slots of a worker that only claims jobs."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._core = JobStore(client.settings, "host:1:w")

    def create(self, **fields: Any) -> str:
        return self.client.enqueue({"prompt": "Why?", **fields}).id

    async def free(self, number: int) -> list[str]:
        """Offers so many slots. Returns the jobs that were dispatched, in order; they are running then."""
        await self._core.renew([], free_slots=number)
        return await self.claim()

    async def claim(self) -> list[str]:
        """Claims the jobs that were dispatched meanwhile."""
        taken = take_messages(self.client)
        for job_id in taken:
            await self._core.claim(self._core.lease(job_id))
        return taken

    async def close(self) -> None:
        await self._core.close()


@pytest.fixture
async def slots(client):
    made = Slots(client)
    yield made
    await made.close()


async def test_a_free_slot_goes_to_the_job_of_the_highest_priority(slots):
    low, normal, high = (slots.create(priority=priority) for priority in ("low", "normal", "high"))

    assert await slots.free(1) == [high]
    assert await slots.free(2) == [normal, low]


async def test_tenants_get_equal_shares_however_many_jobs_they_have(slots):
    many = [slots.create(tenant="many") for _ in range(6)]
    few = [slots.create(tenant="few") for _ in range(2)]

    taken = await slots.free(4)
    assert (taken[0::2], taken[1::2]) == (many[:2], few)
    assert await slots.free(4) == many[2:]


async def test_a_batch_is_the_tenant_of_its_jobs_unless_they_name_one(slots):
    large = [slots.create(batch="large") for _ in range(4)]
    small = slots.create(batch="small")
    alone = slots.create()

    assert await slots.free(3) == [large[0], small, alone]


async def test_batches_of_one_tenant_share_its_slots(slots):
    large = [slots.create(batch="large", tenant="shop") for _ in range(4)]
    small = slots.create(batch="small", tenant="shop")
    other = [slots.create(tenant="other") for _ in range(2)]

    assert await slots.free(4) == [large[0], other[0], small, other[1]]


async def test_a_batch_runs_as_many_jobs_as_its_limit_allows(slots):
    jobs = [slots.create(batch="b") for _ in range(4)]
    slots.client.limit_batch("b", 1)
    other = slots.create()

    assert await slots.free(9) == [jobs[0], other]
    slots.client.limit_batch("b", 2)
    assert await slots.claim() == [jobs[1]], "a new limit applies at once"
    slots.client.limit_batch("b", None)
    assert await slots.claim() == jobs[2:]


async def test_the_end_of_a_job_makes_room_in_its_batch(worker):
    first, second = (worker.create(batch="b") for _ in range(2))
    worker.client.limit_batch("b", 1)
    await worker.process._job_store.renew([], free_slots=9)
    assert worker.take_messages() == [first]
    assert (await worker.see_through(first)).ok
    assert worker.take_messages() == [second]


@pytest.mark.parametrize("when", ["delay_s", "start_at"])
async def test_a_job_is_dispatched_at_its_start_time(slots, when):
    now = slots.client.store.now()
    job_id = slots.create(**{when: 2.0 if when == "delay_s" else now + timedelta(seconds=2)})
    at_once = slots.create()
    assert await slots.free(9) == [at_once]
    assert slots.client.get(job_id).state is JobState.QUEUED

    begun = time.monotonic()
    while not (taken := await slots.free(9)):
        assert time.monotonic() - begun < 30
        await asyncio.sleep(0.02)
    assert taken == [job_id]
    assert (slots.client.store.now() - now).total_seconds() >= 2


async def test_a_start_time_in_the_past_changes_nothing(slots):
    past = slots.create(start_at=slots.client.store.now() - timedelta(days=1))
    assert await slots.free(1) == [past]


async def test_a_job_that_was_cancelled_before_its_start_time_never_starts(slots):
    job_id = slots.create(delay_s=0.2)
    assert slots.client.cancel(job_id) is JobState.CANCELLED
    await asyncio.sleep(0.3)
    assert await slots.free(9) == []


async def test_a_redriven_job_starts_at_once(slots):
    job_id = slots.create(delay_s=3600)
    slots.client.cancel(job_id)
    slots.client.redrive(job_id)
    assert await slots.free(9) == [job_id]


async def test_a_job_of_a_foreign_celery_client_waits_for_its_start_time(worker):
    job = {"prompt": "Why?", "endpoint": "emulator", "delay_s": 0.4}
    assert await worker.process.run("from-afar", job) is None
    assert worker.record("from-afar").state is JobState.QUEUED

    begun = time.monotonic()
    while not (taken := worker.take_messages()):
        assert time.monotonic() - begun < 5
        await worker.process._job_store.renew([], free_slots=9)
        await asyncio.sleep(0.02)
    assert taken == ["from-afar"]
    assert (await worker.see_through("from-afar")).ok
