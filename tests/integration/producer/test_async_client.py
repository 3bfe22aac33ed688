"""AsyncClient waits for jobs and follows them as Client does, with one reader for all of them."""

import asyncio
import inspect
import threading
from contextlib import aclosing

import pytest
from tests.integration.redis.test_scripts import FINISH

from threadmill import AsyncClient, Client, ClientClosed, EventKind, InvalidEntryId, JobNotFound, WaitTimeout
from threadmill.store.keys import Keys
from threadmill.store.scripts import Scripts
from threadmill.watching import reader, watch

pytestmark = pytest.mark.integration

PATIENCE_S = 60


@pytest.fixture
async def awaited(settings):
    async with AsyncClient(settings) as client:
        yield client


@pytest.fixture
def keys(settings):
    return Keys(settings.key_prefix)


@pytest.fixture
def claim(store, keys):
    scripts = Scripts(store, keys.prefix)
    return lambda job_id: scripts.run("jobs/claim", {"id": job_id, "owner": "w:1", "lease_s": 60})


@pytest.fixture
def finish(store, keys, client):
    scripts = Scripts(store, keys.prefix)

    def finish(job_id: str) -> None:
        result = client.store.get(job_id).ended("failed", None, client.store.now())
        own = {"id": job_id, "owner": "w:1", "result": result.model_dump_json(), "batch_counts": {}, "leftovers": []}
        assert scripts.run("jobs/finish", FINISH[1] | own) == ["finished"]

    return finish


@pytest.fixture
def write(store, keys):
    def write(job_id: str, text: str, begins: int = 0, message_id: str = "m") -> str:
        entry = {"kind": "text", "message_id": message_id, "text": text, "begins": begins}
        return store.xadd(keys.live(job_id), entry)

    return write


class Following:
    """Follows a job in a task of its own."""

    def __init__(self, events) -> None:
        self.events = []
        self.changed = asyncio.Event()
        self.task = asyncio.create_task(self._follow(events))

    async def _follow(self, events) -> None:
        async for event in events:
            self.events.append(event)
            self.changed.set()

    async def until(self, holds) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not holds(self):
                if self.task.done():
                    self.task.result()
                    assert holds(self)
                self.changed.clear()
                if not holds(self):
                    await asyncio.wait(
                        [self.task, asyncio.create_task(self.changed.wait())], return_when=asyncio.FIRST_COMPLETED
                    )

    @property
    def states(self) -> list[str]:
        return [event.state for event in self.events if event.kind is EventKind.STATE]

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if event.kind is EventKind.TEXT)


def public(kind: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(member)
        for name, member in inspect.getmembers(kind, callable)
        if not name.startswith("_")
    }


async def test_several_calls_can_be_made_in_one_thread(settings):
    async with AsyncClient(settings) as client:
        _, thread = await client.call(lambda blocking: (blocking.ping(), threading.current_thread().name))
        assert thread.startswith("threadmill")
    with pytest.raises(ClientClosed):
        await client.call(lambda blocking: blocking.ping())


def test_both_clients_have_the_same_methods():
    own, others = public(AsyncClient), public(Client)
    assert own.keys() - others.keys() == {"close", "call"}
    assert others.keys() <= own.keys()
    for name, signature in others.items():
        assert own[name].parameters == signature.parameters, name


async def test_a_job_is_enqueued_read_and_cancelled(awaited):
    handle = await awaited.enqueue({"prompt": "Why?", "key": "one"})
    assert handle.is_new
    assert (await handle.get()).job.prompt == "Why?"
    [again] = await awaited.enqueue_many([{"prompt": "Why?", "key": "one"}])
    assert (again.id, again.is_new) == (handle.id, False)
    assert await handle.cancel() == "cancelled"
    assert (await handle.wait(timeout_s=PATIENCE_S)).state == "cancelled"
    with pytest.raises(JobNotFound):
        await awaited.get("00000000-0000-0000-0000-000000000000")


async def test_a_wait_that_began_before_the_end_is_woken(awaited, client, claim, finish):
    ids = [handle.id for handle in client.enqueue_many(["Why?"] * 30)]
    async with asyncio.TaskGroup() as group:
        waits = [group.create_task(awaited.wait(job_id, PATIENCE_S)) for job_id in ids]
        for job_id in ids:
            claim(job_id)
            await asyncio.to_thread(finish, job_id)
    assert [wait.result().job_id for wait in waits] == ids


async def test_a_wait_ends_at_its_timeout(awaited, client):
    job_id = client.enqueue("Why?").id
    with pytest.raises(WaitTimeout):
        await awaited.wait(job_id, timeout_s=0.05)
    with pytest.raises(WaitTimeout):
        await awaited.wait(job_id, timeout_s=0)
    with pytest.raises(JobNotFound):
        await awaited.wait("00000000-0000-0000-0000-000000000000", timeout_s=1)


async def test_followers_of_one_job_see_the_same_as_a_blocking_follower(awaited, client, claim, finish, write):
    job_id = client.enqueue("Why?").id
    first = Following(awaited.follow(job_id, PATIENCE_S))
    await first.until(lambda own: own.states == ["queued"])
    claim(job_id)
    write(job_id, "Because")
    second = Following(awaited.follow(job_id, PATIENCE_S))
    await second.until(lambda own: own.text == "Because")
    write(job_id, " of light", begins=7)
    await first.until(lambda own: own.text == "Because of light")
    await asyncio.to_thread(finish, job_id)
    await asyncio.wait_for(asyncio.gather(first.task, second.task), PATIENCE_S)
    expected = list(client.follow(job_id, timeout_s=0))
    assert [event.entry_id for event in first.events] == [event.entry_id for event in expected]
    assert first.states == second.states == ["queued", "running", "failed"]
    assert second.text == "Because of light"


async def test_a_follower_continues_after_each_event(awaited, client, claim, finish, write):
    job_id = client.enqueue("Why?").id
    claim(job_id)
    for begins, text in ((0, "Be"), (2, "cause"), (7, " of light")):
        write(job_id, text, begins)
    finish(job_id)
    events = [event async for event in awaited.follow(job_id, 0)]
    for at, event in enumerate(events):
        rest = [each async for each in awaited.follow(job_id, 0, after=event.entry_id)]
        assert rest == events[at + 1 :] == list(client.follow(job_id, 0, after=event.entry_id))
    with pytest.raises(InvalidEntryId):
        await anext(awaited.follow(job_id, 0, after="yesterday"))


async def test_a_follower_that_is_too_slow_loses_nothing(awaited, client, claim, finish, write, monkeypatch):
    monkeypatch.setattr(watch, "_KEPT", 3)
    job_id = client.enqueue("Why?").id
    claim(job_id)
    quick = Following(awaited.follow(job_id, PATIENCE_S))
    async with aclosing(awaited.follow(job_id, PATIENCE_S)) as slow:
        seen = [await anext(slow)]
        for number in range(40):
            write(job_id, f"{number:02}", begins=2 * number)
        await quick.until(lambda own: own.text.endswith("39"))
        await asyncio.to_thread(finish, job_id)
        seen += [event async for event in slow]
    assert "".join(event.text or "" for event in seen) == "".join(f"{number:02}" for number in range(40))
    await asyncio.wait_for(quick.task, PATIENCE_S)


async def test_cancelled_tasks_and_closed_generators_leave_nothing(awaited, client):
    job_id = client.enqueue("Why?").id
    wait = asyncio.create_task(awaited.wait(job_id))
    following = Following(awaited.follow(job_id))
    await following.until(lambda own: own.states)
    async with aclosing(awaited.follow(job_id)) as events:
        await anext(events)
    wait.cancel()
    following.task.cancel()
    await asyncio.wait([wait, following.task])
    await asyncio.sleep(0)
    assert awaited._watcher._reader._watches == awaited._watcher._reader._cursors == {}


async def test_closing_ends_those_who_wait(settings, client):
    job_id = client.enqueue("Why?").id
    async with AsyncClient(settings) as awaited:
        wait = asyncio.create_task(awaited.wait(job_id))
        following = Following(awaited.follow(job_id))
        await following.until(lambda own: own.states)
    for task in (wait, following.task):
        with pytest.raises(ClientClosed):
            await asyncio.wait_for(task, PATIENCE_S)
    with pytest.raises(ClientClosed):
        await awaited.get(job_id)
    with pytest.raises(ClientClosed):
        await awaited.wait(job_id)


async def test_watched_jobs_are_renewed_and_a_lost_stream_is_made_again(
    awaited, client, store, keys, claim, finish, until, monkeypatch
):
    monkeypatch.setattr(reader, "_RENEWAL_S", 0.05)
    job_id = client.enqueue("Why?").id
    following = Following(awaited.follow(job_id, PATIENCE_S))
    await following.until(lambda own: own.states)
    store.delete(keys.events(job_id), keys.followed(job_id))
    await asyncio.to_thread(until, lambda: store.exists(keys.events(job_id), keys.followed(job_id)) == 2)
    claim(job_id)
    await asyncio.to_thread(finish, job_id)
    await asyncio.wait_for(following.task, PATIENCE_S)
    assert following.states[-1] == "failed"
