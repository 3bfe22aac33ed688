"""Jobs whose text comes as it is written: who follows sees it, and whatever a stream does, the job succeeds."""

import asyncio
import threading

import pytest

from threadmill import EventKind, JobState

pytestmark = pytest.mark.integration


class Follower:
    """Follows a job from a thread of its own, as another process would."""

    def __init__(self, client, job_id):
        self.events = []
        self._thread = threading.Thread(target=self._follow, args=(client, job_id), daemon=True)
        self._thread.start()

    def _follow(self, client, job_id):
        for event in client.follow(job_id, timeout_s=20):
            self.events.append(event)

    async def all(self):
        await asyncio.to_thread(self._thread.join, 20)
        assert not self._thread.is_alive()
        return self.events

    def of(self, kind):
        return [event for event in self.events if event.kind is kind]

    @property
    def text(self):
        return "".join(event.text for event in self.of(EventKind.TEXT))


LONG = "[[scenario=echo deltas=40 run_s=2.5]]" + "All work and no play makes Jack a dull boy. " * 10


async def test_text_comes_as_it_is_written(worker, emulator, client, store):
    job_id = worker.create(LONG, stream=True)
    follower = Follower(client, job_id)
    result = await worker.see_through(job_id)
    events = await follower.all()

    assert result.state is JobState.SUCCEEDED
    assert follower.text == result.text
    print([(e.kind.value, e.text or e.state or e.status, e.at) for e in events])
    assert len(follower.of(EventKind.TEXT)) > 4
    [message] = follower.of(EventKind.MESSAGE)
    assert message.text == result.text
    print(emulator.stats()["calls"])
    print(store.xrange(f"{worker.settings.key_prefix}:job:{job_id}:live"))
    assert emulator.stats()["calls"].get("runs.retrieve") == 1
