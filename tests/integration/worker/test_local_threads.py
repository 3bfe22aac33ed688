"""Threads whose messages only Redis has: they expire, each job on them renews that, and nothing of them stays."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.integration.worker.holder import Holder

from threadmill import Client, JobState, ThreadNotFound
from threadmill.secrets.redaction import REDACTOR
from threadmill.store.keys import Keys
from threadmill.store.records.remote import KeptThread, Transcript

pytestmark = pytest.mark.integration

DAY, NAME = timedelta(days=1), "emulator/thread_x"
ASKED = {"role": "user", "content": "My name is Ada."}
ANSWERED = {"role": "assistant", "content": "Hello."}


@pytest.fixture
def keys(settings) -> Keys:
    return Keys(settings.key_prefix)


@pytest.fixture
def hold(job_store, worker):
    """Runs a job on the thread as a worker does, to its end. Returns its id."""

    async def run(*said: dict[str, Any], keep: bool = True, kind: str = "local", **fields: Any) -> str:
        job_id = worker.create(keep_thread=True, **fields)
        await job_store.take(job_id)
        await end(job_store, job_id, *said, keep=keep, kind=kind)
        return job_id

    return run


async def end(job_store: Holder, job_id: str, *said: dict[str, Any], keep: bool = True, kind: str = "local") -> None:
    record, now = await job_store.get(job_id), datetime.now(UTC)
    kept = KeptThread(
        endpoint="emulator",
        id="thread_x",
        kind=kind,
        job_id=job_id,
        created_at=now,
        used_at=now,
        transcript=Transcript(items=said),
    )
    state = JobState.SUCCEEDED if keep else JobState.FAILED
    await job_store.end(record.ended(state, None, now), kept=kept if keep else None)


def age(store, keys, by: timedelta) -> None:
    """Lets so much of the time pass after which the thread expires."""
    store.zincrby(keys.local_threads, -by.total_seconds(), NAME)
    left_s = store.ttl(keys.transcript(NAME)) - int(by.total_seconds())
    store.expire(keys.transcript(NAME), left_s)  # at once, if nothing is left


def days_left(client: Client) -> float:
    thread = client.thread("thread_x", "emulator")
    return (thread.expires_at - client.store.now()) / DAY


async def test_a_local_thread_is_listed_with_the_time_when_it_expires(hold, worker, store, keys):
    await hold(ASKED, ANSWERED)

    [thread] = worker.client.threads()
    assert (thread.kind, thread.jobs, thread.leftovers) == ("local", 1, ())
    assert days_left(worker.client) == pytest.approx(30, abs=0.1)
    assert store.ttl(keys.transcript(NAME)) / 86400 == pytest.approx(30, abs=0.1)
    assert worker.client.thread_page().threads == [thread]
    assert worker.client.store.transcript(thread).items == (ASKED, ANSWERED)


async def test_each_job_on_it_renews_it_when_it_is_enqueued_and_when_it_ends(hold, worker, job_store, store, keys):
    await hold(ASKED, ANSWERED)
    age(store, keys, 29 * DAY)
    assert days_left(worker.client) == pytest.approx(1, abs=0.1)

    second = worker.create(thread="thread_x")
    assert days_left(worker.client) == pytest.approx(30, abs=0.1)
    assert store.ttl(keys.transcript(NAME)) / 86400 == pytest.approx(30, abs=0.1)
    age(store, keys, 29 * DAY)
    await job_store.take(second)
    await end(job_store, second, ASKED, ANSWERED, ASKED, ANSWERED)
    assert days_left(worker.client) == pytest.approx(30, abs=0.1)

    later = worker.client.store.now() + 100 * DAY
    worker.create(thread="thread_x", start_at=later)
    assert days_left(worker.client) == pytest.approx(130, abs=0.1)
    worker.create(thread="thread_x")
    assert days_left(worker.client) == pytest.approx(130, abs=0.1), "it is not kept shorter than was promised"


@pytest.mark.parametrize("how", ["fails", "is cancelled", "is cancelled before its turn"])
async def test_a_job_without_an_answer_leaves_the_messages_unchanged(how, hold, worker, job_store, store, keys):
    await hold(ASKED, ANSWERED)
    second, third = (worker.create(thread="thread_x") for _ in range(2))
    assert await job_store.take(third) is None, "it waits for its turn"
    age(store, keys, DAY)
    if how == "is cancelled before its turn":
        worker.client.cancel(second)
    else:
        record = await job_store.take(second)
        state = JobState.FAILED if how == "fails" else JobState.CANCELLED
        await job_store.end(record.ended(state, None, datetime.now(UTC)))

    kept = await job_store.kept_thread("emulator", "thread_x")
    assert kept.transcript.items == (ASKED, ANSWERED)
    assert kept.jobs == (1 if how == "is cancelled before its turn" else 2)
    assert await job_store.take(third)


async def test_an_expired_thread_is_not_there_for_anybody(hold, worker, job_store, store, keys):
    await hold(ASKED, ANSWERED)
    age(store, keys, 31 * DAY)

    assert worker.client.threads() == worker.client.thread_page().threads == []
    for ask in (worker.client.thread, worker.client.thread_jobs, worker.client.jobs_on_thread):
        with pytest.raises(ThreadNotFound):
            ask("thread_x", "emulator")
    assert (await job_store.kept_thread("emulator", "thread_x")).transcript is None
    worker.create(thread="thread_x")
    assert worker.client.threads() == [], "a job cannot bring back what is gone"

    assert store.hlen(keys.threads) == 1
    await job_store.forget_expired_threads()
    assert store.exists(keys.threads, keys.local_threads, keys.transcript(NAME)) == 0
    assert await job_store.kept_thread("emulator", "thread_x") is None


async def test_a_job_that_ends_after_its_thread_has_expired_keeps_it(hold, worker, job_store, store, keys):
    await hold(ASKED, ANSWERED)
    second = worker.create(thread="thread_x", keep_thread=True)
    await job_store.take(second)
    age(store, keys, 31 * DAY)
    await job_store.forget_expired_threads()
    await end(job_store, second, ASKED, ANSWERED)

    assert days_left(worker.client) == pytest.approx(30, abs=0.1)


async def test_the_sweep_removes_expired_threads_some_at_a_time(worker, job_store, store, keys, hold):
    await hold(ASKED, ANSWERED)
    gone = {f"emulator/thread_{n}": 1.0 for n in range(600)}
    store.hset(keys.threads, mapping=dict.fromkeys(gone, "{}"))
    store.zadd(keys.local_threads, gone)

    await job_store.forget_expired_threads()
    assert store.hlen(keys.threads) == 101
    await job_store.forget_expired_threads()
    assert store.hkeys(keys.threads) == [NAME]


@pytest.mark.settings(sweep_interval_s=0.1)
async def test_workers_remove_expired_threads(hold, worker, store, keys, until):
    await hold(ASKED, ANSWERED)
    age(store, keys, 31 * DAY)
    worker.start()
    await asyncio.to_thread(until, lambda: not store.exists(keys.threads, keys.local_threads))


async def test_a_deleted_local_thread_leaves_nothing(hold, worker, store, keys):
    await hold(ASKED, ANSWERED)
    worker.client.delete_thread("thread_x")

    assert worker.client.leftovers() == []
    assert store.exists(keys.threads, keys.local_threads, keys.transcript(NAME)) == 0


async def test_a_lost_transcript_is_missed_and_not_replaced(hold, worker, job_store, store, keys):
    await hold(ASKED, ANSWERED)
    store.delete(keys.transcript(NAME))
    worker.create(thread="thread_x")

    [thread] = worker.client.threads()
    assert worker.client.store.transcript(thread) is None
    assert (await job_store.kept_thread("emulator", "thread_x")).transcript is None


@pytest.mark.parametrize("kind", ["chain", "conversation"])
async def test_other_threads_never_expire(kind, hold, worker, job_store, store, keys):
    await hold(ASKED, ANSWERED, kind=kind)
    second = worker.create(thread="thread_x")
    record = await job_store.take(second)
    await job_store.end(record.ended(JobState.FAILED, None, datetime.now(UTC)))

    [thread] = worker.client.threads()
    assert thread.expires_at is None
    assert store.ttl(keys.transcript(NAME)) == -1
    assert not store.exists(keys.local_threads)


@pytest.mark.parametrize("repeated", [False, True])
async def test_a_long_message_is_kept_whole(repeated, hold, worker, job_store, store, keys):
    long = {"role": "user", "content": "x" * 1_500_000}
    job_id = await hold(long, ANSWERED)
    if repeated:  # as after a lost reply
        await end(job_store, job_id, long, ANSWERED)

    [thread] = worker.client.threads()
    assert thread.jobs == 1
    assert len(store.get(keys.transcript(NAME))) > 1_500_000
    assert (await job_store.kept_thread("emulator", "thread_x")).transcript.items == (long, ANSWERED)


async def test_ten_thousand_threads_are_listed_in_parts(hold, worker, store, keys):
    await hold(ASKED, ANSWERED)
    entry, expires_at = store.hget(keys.threads, NAME), store.zscore(keys.local_threads, NAME)
    names = [f"thread_{n}" for n in range(10_000)]
    for start in range(0, len(names), 1000):
        part = names[start : start + 1000]
        store.hset(keys.threads, mapping={f"emulator/{n}": entry.replace("thread_x", n) for n in part})
        store.zadd(keys.local_threads, {f"emulator/{n}": expires_at if int(n[7:]) % 2 else 1 for n in part})

    found, cursor = set[str](), None
    while True:
        page = worker.client.thread_page(limit=100, cursor=cursor)
        assert len(page.threads) < 500
        assert all(thread.expires_at for thread in page.threads)
        found |= {thread.id for thread in page.threads}
        if (cursor := page.next_cursor) is None:
            break
    assert found == {"thread_x", *names[1::2]}
    assert {thread.id for thread in worker.client.threads()} == found


async def test_secrets_are_redacted_in_a_transcript(hold, worker, store, keys):
    REDACTOR.register("sk-A1b2C3d4E5f6G7h8")
    await hold({"role": "tool", "tool_call_id": "call_1", "content": "the key is sk-A1b2C3d4E5f6G7h8"}, ANSWERED)
    REDACTOR.forget("sk-A1b2C3d4E5f6G7h8")

    [kept, _] = json.loads(store.get(keys.transcript(NAME)))["items"]
    assert kept["content"] == "the key is [key]"
