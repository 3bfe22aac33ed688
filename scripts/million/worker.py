"""A worker without a server: it ends each job as soon as it has claimed it, with the store of a real worker."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from speed.texts import text

from threadmill import Settings
from threadmill.job.result import JobResult, JobState, Timings, Usage
from threadmill.store.records.job import JobRecord
from threadmill_worker.attempt.context.contexts import Contexts
from threadmill_worker.attempt.tasks import repeat, stop
from threadmill_worker.lifecycle.progress import Progress
from threadmill_worker.live.publisher import EventPublisher
from threadmill_worker.maintenance.batch_lane import BatchLane
from threadmill_worker.maintenance.heartbeats import Heartbeats
from threadmill_worker.maintenance.sweep import Sweep
from threadmill_worker.store.batch_lane import LaneStore
from threadmill_worker.store.jobs import JobStore, LeftPool
from threadmill_worker.tools import registry

_USAGE = Usage(prompt_tokens=250, completion_tokens=250, total_tokens=500)
_IDLE_S = 0.01
_EVERY_S = 1.0  #: of the periodic steps


class Worker:
    """Create and use it inside one event loop. `slots`: how many jobs it runs at a time."""

    def __init__(self, settings: Settings, slots: int) -> None:
        self._settings = settings
        self._slots = slots
        self.store = JobStore(settings, "measured:1:worker")
        self._heartbeats = Heartbeats(settings.lease_s)
        events = EventPublisher(self.store.publish, self.store.is_followed)
        contexts = Contexts(settings, registry.load(settings), self.store, events)
        lane_store = LaneStore(settings, "measured:1:worker", self.store.redis, self.store.clock.now)
        self.sweep = Sweep(settings, self.store, contexts, self._heartbeats)
        self._lane = BatchLane(settings, lane_store, contexts, self.store.clock)
        self._running: dict[str, asyncio.Task[None]] = {}
        self.ended = 0

    async def heartbeat(self) -> None:
        """Offers the free slots."""
        await self.store.renew((), free_slots=self._slots - len(self._running))
        self._heartbeats.record()

    async def end(self, number: int, progress: Callable[[int], None] = lambda ended: None) -> None:
        """Ends so many jobs, with the periodic steps of a worker beside them."""
        self.ended = 0
        await self.store.read_clock()
        steps = (
            self.heartbeat, self.sweep.once, self.sweep.clean_up, self._lane.once, self.store.forget_old_workers,
        )  # fmt: skip
        periodic = [repeat(_EVERY_S, step) for step in steps]
        try:
            while self.ended < number:
                await self._start(min(self._slots, number - self.ended) - len(self._running))
                progress(self.ended)
                await asyncio.sleep(0 if self._running else _IDLE_S)
            await asyncio.gather(*self._running.values())
        finally:
            while running := [task for task in periodic if not task.done()]:
                await stop(running, running)
            await self.store.leave()

    async def offer(self, free: int) -> list[str]:
        """Offers so many free slots; returns the ids of the jobs that are dispatched to them."""
        await self.store.renew((), free_slots=free)
        return await self.take(free)

    async def take(self, number: int) -> list[str]:
        """Takes messages from Celery's queue; returns the ids of their jobs."""
        messages: Any = await self.store.redis.rpop(self._settings.queue, number) if number > 0 else None
        return [json.loads(message)["headers"]["id"] for message in messages or ()]

    async def close(self) -> None:
        await self.store.close()

    async def _start(self, number: int) -> None:
        for job_id in await self.take(number):
            self._running[job_id] = asyncio.create_task(self._run(job_id))

    async def _run(self, job_id: str) -> None:
        lease = self.store.lease(job_id)
        record = await self.store.claim(lease)
        if record is not None:
            progress = Progress(deadline_at=self.store.clock.now() + 600, messages=1)
            await self.store.save(lease, progress, {"pool": record.pool, "learn": False} if record.pool else None)
            left = LeftPool(record.pool, 500)
            await self.store.finish(lease, self._result(record), (), left=left, sender=record.sender)
            self.ended += 1
        del self._running[job_id]

    def _result(self, record: JobRecord) -> JobResult:
        now = self.store.clock.moment()
        return JobResult(
            job_id=record.id,
            state=JobState.SUCCEEDED,
            text=text(self.ended),
            usage=_USAGE,
            model="measured",
            runs=1,
            attempts=1,
            calls=5,
            timings=Timings(created_at=record.created_at, started_at=record.started_at, finished_at=now),
            batch=record.job.batch,
            endpoint=record.job.endpoint,
        )
