"""Threads that live on: what is known of them grows with each job, until someone deletes them."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from threadmill import JobState, ThreadInUse, ThreadNotFound
from threadmill.store.records.remote import KeptThread
from threadmill_worker.lifecycle.progress import Leftover, Progress
from threadmill_worker.store.jobs import LeaseLost

pytestmark = pytest.mark.integration

DAY = timedelta(days=1)
NOW = datetime.now(UTC)


async def end(job_store, job_id, thread=None, *, keep=True, at=NOW, things=None, state=JobState.SUCCEEDED) -> None:
    """As the runner ends a job; with `keep`, its thread lives on."""
    record = await job_store.get(job_id)
    kept = KeptThread(
        endpoint="emulator",
        id=thread or record.job.thread,
        job_id=job_id,
        created_at=at,
        used_at=at,
        assistant="asst_emulator",
        things=things or {},
    )
    await job_store.end(record.ended(state, None, at), kept=kept if keep else None)


async def test_a_thread_is_listed_from_its_first_job_on(worker, job_store):
    first = worker.create(keep_thread=True)
    await job_store.take(first)
    await end(job_store, first, "thread_x", at=NOW - 3 * DAY, things={"file-1": "file"})
    [thread] = worker.client.threads()
    assert (thread.endpoint, thread.id, thread.jobs, thread.job_id) == ("emulator", "thread_x", 1, first)
    assert (thread.created_at, thread.used_at, thread.assistant) == (NOW - 3 * DAY, NOW - 3 * DAY, "asst_emulator")

    second = worker.create(thread="thread_x", keep_thread=True)
    await job_store.take(second)
    await end(job_store, second, things={"vs_1": "vector_store", "file-1": "file"})
    await end(job_store, second, things={"vs_1": "vector_store"})  # as after a lost reply
    [thread] = worker.client.threads()
    assert (thread.jobs, thread.job_id, thread.created_at) == (2, second, NOW - 3 * DAY)
    assert thread.used_at > NOW - DAY
    assert thread.things == {"file-1": "file", "vs_1": "vector_store"}


async def test_the_jobs_on_a_kept_thread_are_in_the_order_of_their_turns(worker, job_store):
    first = worker.create(keep_thread=True)
    await job_store.take(first)
    await end(job_store, first, "thread_x")
    assert worker.client.jobs_on_thread("thread_x", "emulator") == [first]

    later = [worker.create(thread="thread_x") for _ in range(2)]
    assert worker.client.jobs_on_thread("thread_x", "emulator") == [first, *later]

    worker.client.cancel(later[0])
    assert worker.client.jobs_on_thread("thread_x", "emulator")[1:] == later[1:]
    with pytest.raises(ThreadNotFound):
        worker.client.jobs_on_thread("thread_y", "emulator")


async def test_a_job_on_a_kept_thread_counts_as_its_use(worker, job_store):
    first, second = worker.create(keep_thread=True), worker.create(thread="thread_x")
    await job_store.take(first)
    await end(job_store, first, "thread_x", at=NOW - 3 * DAY)
    await job_store.take(second)
    await end(job_store, second, keep=False)

    [thread] = worker.client.threads()
    assert (thread.jobs, thread.job_id, thread.used_at > NOW - DAY) == (2, second, True)


async def test_a_thread_made_elsewhere_is_not_listed(worker, job_store):
    job_id = worker.create(thread="thread_of_others")
    await job_store.take(job_id)
    await end(job_store, job_id, keep=False)
    assert worker.client.threads() == []


async def test_a_job_cancelled_before_its_turn_has_not_used_the_thread(worker, job_store):
    first, second = worker.create(keep_thread=True), worker.create(thread="thread_x")
    await job_store.take(first)
    await end(job_store, first, "thread_x")
    worker.client.cancel(second)

    assert [(thread.jobs, thread.job_id) for thread in worker.client.threads()] == [(1, first)]


async def test_a_worker_that_lost_its_lease_keeps_nothing(worker, job_store):
    job_id = worker.create(keep_thread=True)
    with pytest.raises(LeaseLost):
        await end(job_store, job_id, "thread_x")
    assert worker.client.threads() == []


async def test_threads_are_listed_by_their_last_use(worker, job_store):
    for number, name in enumerate(["thread_old", "thread_new", "thread_middle"]):
        job_id = worker.create(keep_thread=True)
        await job_store.take(job_id)
        await end(job_store, job_id, name, at=NOW - {0: 9, 1: 1, 2: 4}[number] * DAY)
    assert [thread.id for thread in worker.client.threads()] == ["thread_new", "thread_middle", "thread_old"]


async def test_a_deleted_thread_goes_with_all_that_belongs_to_it(worker, job_store):
    job_id = worker.create(keep_thread=True)
    await job_store.take(job_id)
    await end(job_store, job_id, "thread_x", things={"file-1": "file", "vs_1": "vector_store"})
    worker.client.delete_thread("thread_x")

    assert worker.client.threads() == []
    left = {(each.kind, each.id) for each in worker.client.leftovers()}
    assert left == {("thread", "thread_x"), ("file", "file-1"), ("vector_store", "vs_1")}
    while (leftover := await job_store.take_leftover()) is not None:
        await job_store.drop_leftover(leftover)
    assert worker.client.leftovers() == []
    with pytest.raises(ThreadNotFound, match="thread thread_x is not kept here"):
        worker.client.delete_thread("thread_x")


async def test_a_thread_with_open_jobs_is_left_alone_unless_forced(worker, job_store):
    first, second, third = worker.create(keep_thread=True), *(worker.create(thread="thread_x") for _ in range(2))
    await job_store.take(first)
    await end(job_store, first, "thread_x")
    await job_store.take(second)
    with pytest.raises(ThreadInUse, match=f"in use by {second}, {third}") as refused:
        worker.client.delete_thread("thread_x")
    assert refused.value.job_ids == (second, third)
    assert len(worker.client.threads()) == 1

    worker.client.delete_thread("thread_x", force=True)
    assert worker.client.threads() == []


async def test_a_thread_used_during_deletion_is_deleted_with_its_new_files(
    worker, job_store, store, settings, monkeypatch
):
    job_id = worker.create(keep_thread=True)
    await job_store.take(job_id)
    await end(job_store, job_id, "thread_x")
    read, name = worker.client.store._redis.hget, f"{settings.key_prefix}:threads"

    def slow(*args):
        entry = read(*args)
        monkeypatch.undo()  # at this moment another job of the thread ends, with a file
        grown = json.loads(entry) | {"things": {"file-9": "file"}}
        store.hset(name, "emulator/thread_x", json.dumps(grown))
        return entry

    monkeypatch.setattr(worker.client.store._redis, "hget", slow)
    worker.client.delete_thread("thread_x")
    assert {each.id for each in worker.client.leftovers()} == {"thread_x", "file-9"}


async def test_the_thread_of_a_job_that_fails_becomes_a_leftover(worker, job_store, store, settings, emulator):
    job_id = worker.create()
    await job_store.take(job_id)
    made = Progress(
        deadline_at=0, messages=1, thread_id="thread_x", runs=1, leftovers=(Leftover("thread", "thread_x"),)
    )
    await job_store.save(job_store.leases[job_id], made)
    await job_store.hand_back(job_store.leases[job_id])
    store.hset(f"{settings.key_prefix}:job:{job_id}", "job", '{"prompt": "Well?", "tools": ["not_here"]}')
    result = await worker.see_through(job_id)

    assert (result.state, result.failure.kind, result.runs) == (JobState.FAILED, "rejected", 1)
    assert [(each.endpoint, each.id) for each in worker.client.leftovers()] == [("emulator", "thread_x")]


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param("wait", marks=pytest.mark.endpoint(on_locked_thread="wait")),
        pytest.param("cancel", marks=pytest.mark.endpoint(on_locked_thread="cancel")),
    ],
)
async def test_a_foreign_run_on_the_thread_is_awaited_or_stopped(policy, worker, emulator):
    thread = emulator.call("POST", "/threads", {})["id"]
    emulator.call("POST", f"/threads/{thread}/messages", {"role": "user", "content": "[[run_s=1]]Busy"})
    emulator.call("POST", f"/threads/{thread}/runs", {"assistant_id": "asst_emulator"})
    result = await worker.run("Well?", thread=thread)

    assert result.ok
    strangers = emulator.stats()["runs"]["by_status"]
    assert strangers == ({"completed": 2} if policy == "wait" else {"cancelled": 1, "completed": 1})
