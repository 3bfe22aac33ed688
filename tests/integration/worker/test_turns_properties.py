"""Turns under any sequence of ends, deaths, cancellations and lost messages: one at a time, and none is lost."""

import asyncio
import json
from datetime import UTC, datetime

import pytest
import redis
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from tests.integration.worker.holder import Holder

from threadmill import Client, JobState
from threadmill.job.result import TERMINAL

pytestmark = pytest.mark.integration

JOBS = 4
STEPS = ["deliver", "deliver", "end", "end", "hand_back", "die", "cancel", "redrive", "flush"]


class Line:
    """Jobs on one thread, their messages, and two workers with slots for all of them."""

    def __init__(self, settings, store: redis.Redis) -> None:
        self.messages: list[str] = []
        self.client = Client(settings)
        self.workers = [Holder(settings, name) for name in ("one", "two")]
        self.held: dict[str, Holder] = {}
        self.began: list[str] = []  #: jobs in the order of their first claims
        self.disturbed: set[str] = set()  #: those that left the line: cancelled or sent again
        self._leases = f"{settings.key_prefix}:leases"
        self._store = store
        self._queue = settings.queue
        jobs = [{"prompt": "Well?", "thread": "thread_x", "metadata": {"n": str(n)}} for n in range(JOBS)]
        self.ids = [handle.id for handle in self.client.enqueue_many(jobs)]

    async def step(self, what: str, which: int) -> None:
        await self.workers[1].renew([], free_slots=JOBS)
        dispatched = self._store.lpop(self._queue, 100) or []
        self.messages += [json.loads(message)["headers"]["id"] for message in reversed(dispatched)]
        match what:
            case "deliver" if self.messages:
                job_id, worker = self.messages.pop(which % len(self.messages)), self.workers[which % 2]
                if await worker.take(job_id):
                    self.held[job_id] = worker
                    self.began += [job_id] if job_id not in self.began else []
            case "end" if self.held:
                job_id, worker = self.held.popitem()
                record = await worker.get(job_id)
                state = JobState.FAILED if which % 2 else JobState.SUCCEEDED
                await worker.end(record.ended(state, None, datetime.now(UTC)))
            case "hand_back" if self.held:
                job_id, worker = self.held.popitem()
                assert await worker.hand_back(worker.leases[job_id])
            case "die" if self.held:
                job_id, worker = self.held.popitem()
                self._store.zadd(self._leases, {job_id: 0})
                assert [id for id, _ in await self.workers[0].sweep()] == [job_id]
            case "cancel":
                if self.ids[which] not in self.held:
                    self.disturbed.add(self.ids[which])
                    self.client.cancel(self.ids[which])
            case "redrive":
                self.disturbed.add(self.ids[which])
                self.client.redrive(self.ids[which])
            case "flush":
                self.messages.clear()
        running = [id for id in self.ids if self.client.get(id).state is JobState.RUNNING]
        assert len(running) <= 1, "one at a time"
        assert running == list(self.held)

    async def drain(self) -> None:
        for _ in range(10 * JOBS):
            if all(self.client.get(id).state in TERMINAL for id in self.ids):
                return
            if not self.messages and not self.held:
                lost = await self.workers[0].undelivered(-1)
                assert len(lost) <= 1, "the one whose turn it is"
                await self.workers[0].return_to_queue(lost)
            await self.step("end" if self.held else "deliver", 0)
        raise AssertionError("a job is lost")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, JOBS - 1)), max_size=30))
def test_jobs_of_a_thread_take_turns_whatever_happens(make_settings, redis_url, steps):
    async def story() -> None:
        with redis.Redis.from_url(redis_url, decode_responses=True) as store:
            line = Line(make_settings("http://127.0.0.1:9/v1"), store)
            for what, which in steps:
                note(f"{what} {which}")
                await line.step(what, which)
            await line.drain()
            undisturbed = [id for id in line.ids if id not in line.disturbed]
            assert [id for id in line.began if id in undisturbed] == undisturbed, "in the order of enqueueing"
            assert not list(store.scan_iter(f"{line.client.settings.key_prefix}:turns:*"))
            for worker in line.workers:
                await worker.close()

    asyncio.run(story())
