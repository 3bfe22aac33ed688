"""Leases: who has lost one neither renews nor releases that of its successor, changes nothing more, and stops."""

import asyncio
from datetime import UTC, date, datetime

import pytest
import redis
from tests.conftest import PATIENCE_S

from threadmill.reports.report_run import ReportRun
from threadmill.reports.store import ReportStore
from threadmill.store.lease import LeaseLost
from threadmill.store.records.batch import RemoteBatch
from threadmill_worker.store.batch_lane import LaneStore
from threadmill_worker.store.jobs import JobStore

pytestmark = [pytest.mark.integration, pytest.mark.settings(lease_s=0.3)]

NIGHT = date(2026, 11, 28)

#: How long the successor's lease lasts, in milliseconds. Renewed by the wrong one it would last 0.3 s.
LONG_MS = 600_000


@pytest.fixture
def base_url():
    return "http://127.0.0.1:9/v1"  # nobody is asked


@pytest.fixture
async def lane_store(settings):
    job_store = JobStore(settings, "one")
    await job_store.read_clock()
    yield LaneStore(settings, "one", job_store.redis, job_store.clock.now)
    await job_store.close()


@pytest.fixture
def batch(store, keys):
    batch = RemoteBatch(name="b", endpoint="emulator", made_at=datetime.now(UTC), lane="emulator/m")
    store.hset(keys.remote_batches, batch.name, batch.model_dump_json())
    return batch


async def test_work_on_a_remote_batch_stops_when_its_lease_is_lost(lane_store, batch, store, keys):
    held, went_on = keys.remote_batch_held(batch.name), False

    async with asyncio.timeout(PATIENCE_S):
        async with lane_store.holding(batch.name) as ours:
            assert ours == batch
            store.set(held, "another", px=LONG_MS)
            await asyncio.Event().wait()
            went_on = True

    assert not went_on
    assert (store.get(held), store.pttl(held) > LONG_MS / 2) == ("another", True), "it is neither renewed nor released"


async def test_who_has_lost_a_remote_batch_saves_nothing_of_it(lane_store, batch, store, keys):
    went_on = False
    async with lane_store.holding(batch.name) as ours:
        store.set(keys.remote_batch_held(batch.name), "another", px=LONG_MS)
        await lane_store.save(ours.model_copy(update={"batch_id": "batch_1"}))
        went_on = True

    assert not went_on
    assert await lane_store.get(batch.name) == batch
    with pytest.raises(LeaseLost):
        await lane_store.save(batch)


async def test_work_on_a_remote_batch_stops_when_its_lease_cannot_be_renewed(lane_store, batch, monkeypatch):
    went_on = False
    async with asyncio.timeout(PATIENCE_S):
        async with lane_store.holding(batch.name):
            monkeypatch.setattr(lane_store._redis.connection_pool, "get_connection", _away)
            await asyncio.Event().wait()
            went_on = True
    assert not went_on


async def _away(*arguments, **options):
    raise redis.ConnectionError


async def test_a_remote_batch_is_held_by_one_and_then_free(lane_store, batch, store, keys):
    held = keys.remote_batch_held(batch.name)
    async with lane_store.holding(batch.name) as ours:
        first = store.get(held)
        async with lane_store.holding(batch.name) as twice:
            assert (ours, twice) == (batch, None)
        assert store.get(held) == first
        await lane_store.save(ours.model_copy(update={"reason": "busy"}))
        await asyncio.sleep(0.5)  # longer than the lease lasts
        assert store.get(held) == first
    assert store.get(held) is None
    assert (await lane_store.get(batch.name)).reason == "busy"

    with pytest.raises(ZeroDivisionError):
        async with lane_store.holding(batch.name):
            raise ZeroDivisionError
    assert store.get(held) is None


def test_who_has_lost_a_night_stops_and_leaves_it_to_its_successor(settings, store, keys):
    book, night = ReportStore(settings), ReportRun(report="shift", night=NIGHT, begun_at=datetime.now(UTC))
    held = keys.report_held("shift", str(NIGHT))
    lease = book.claim("shift", NIGHT)
    assert book.claim("shift", NIGHT) is None

    with lease:
        book.save(night, lease)
        store.set(held, "another", px=LONG_MS)
        with pytest.raises(LeaseLost):
            book.save(night.model_copy(update={"attempts": 7}), lease)
        for stopped in (lease.check, lease.ensure):
            with pytest.raises(LeaseLost, match="shift, night of 2026-11-28"):
                stopped()

    assert (store.get(held), store.pttl(held) > LONG_MS / 2) == ("another", True)
    assert book.get("shift", NIGHT) == night


def test_a_night_that_was_made_is_free(settings, store, keys):
    book = ReportStore(settings)
    for _ in range(2):
        with book.claim("shift", NIGHT) as lease:
            lease.ensure()
            assert book.holder("shift", NIGHT)
    assert store.get(keys.report_held("shift", str(NIGHT))) is None


async def test_one_worker_sweeps_at_a_time(settings, store, keys):
    one, other = JobStore(settings, "one"), JobStore(settings, "other")
    assert [await one.may_sweep(60), await other.may_sweep(60), await one.may_sweep(60)] == [True, False, False]
    assert store.get(keys.sweep) == "one"
    for job_store in (one, other):
        await job_store.close()
