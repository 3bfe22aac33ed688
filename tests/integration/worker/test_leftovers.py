"""Leftovers: deleted several at a time, each by one worker, without holding up a rescue."""

import asyncio
import json
import time

import pytest

from threadmill import JobState
from threadmill.store.records.remote import LeftoverRecord
from threadmill_worker.maintenance import sweep

pytestmark = pytest.mark.integration


@pytest.fixture
def leave(store, settings):
    def leave(number: int) -> None:
        left = (LeftoverRecord(endpoint="emulator", kind="thread", id=f"thread_{n}") for n in range(number))
        store.zadd(f"{settings.key_prefix}:leftovers", {each.to_json(): time.time() for each in left})

    return leave


async def test_a_leftover_is_given_out_once(job_store, leave, store, settings):
    leave(20)
    taken = await asyncio.gather(*(job_store.take_leftover() for _ in range(30)))
    assert sorted(each.id for each in taken if each) == sorted(f"thread_{n}" for n in range(20))

    expires_at = min(score for _, score in store.zrange(f"{settings.key_prefix}:leftovers", 0, -1, withscores=True))
    assert 30 < expires_at - time.time() < 90, "should the worker die, another has its turn"


@pytest.mark.settings(sweep_interval_s=60)
async def test_a_thousand_are_deleted_in_one_pass(worker, emulator, leave, until):
    leave(1000)
    await worker.process.clean_up()

    await asyncio.to_thread(until, lambda: not worker.client.leftovers())  # the worker's own pass may hold a few
    assert len(emulator.sent("DELETE", "")) == 1000


@pytest.mark.settings(sweep_interval_s=0.1, lease_s=0.5)
async def test_a_rescue_does_not_wait_for_slow_deletions(worker, job_store, emulator, leave, until, store, keys):
    emulator.faults(slow=1, slow_s=2, only="threads.delete")
    leave(100)
    worker.start()
    await asyncio.to_thread(until, lambda: len(emulator.sent("DELETE", "")) == sweep.DELETIONS)
    job_id = worker.create()
    await job_store.take(job_id)  # by one that dies at once

    began = time.monotonic()
    while not store.zscore(keys.dispatched, job_id):
        await asyncio.sleep(0.05)
        assert time.monotonic() - began < 60
    assert worker.record(job_id).state is JobState.QUEUED
    assert worker.client.leftovers(), "while these are still being deleted"


async def test_one_that_cannot_be_deleted_holds_up_no_other(worker, emulator, leave, store, settings, until):
    nowhere = json.dumps({"endpoint": "no_such", "kind": "thread", "id": "thread_x"}, separators=(",", ":"))
    store.zadd(f"{settings.key_prefix}:leftovers", {nowhere: 1})
    leave(30)
    await worker.process.clean_up()

    await asyncio.to_thread(until, lambda: len(worker.client.leftovers()) == 1)
    [left] = worker.client.leftovers()
    assert (left.endpoint, left.tries) == ("no_such", 1)


@pytest.mark.emulated(extras=frozenset({"no_delete"}))
@pytest.mark.parametrize(
    ("made", "jobs"),
    [
        pytest.param("threads", 3, marks=pytest.mark.endpoint(wire="assistants"), id="assistants"),
        pytest.param("responses", 3, marks=pytest.mark.endpoint(wire="responses", model="emulator"), id="responses"),
    ],
)
async def test_a_server_without_delete_is_asked_once_and_leaves_no_leftovers(made, jobs, worker, emulator):
    results = [await worker.run() for _ in range(jobs)]

    assert all(result.ok for result in results)
    assert [each.path.split("/")[1] for each in emulator.sent("DELETE", "")] == [made]
    assert not worker.client.leftovers()
