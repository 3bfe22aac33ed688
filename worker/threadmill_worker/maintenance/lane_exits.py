"""How jobs leave a remote batch: to the queue, or to another remote batch."""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from threadmill.errors import SettingsError
from threadmill.job.result import Failure
from threadmill.settings.settings import Settings
from threadmill.store.batch_records import RemoteBatch
from threadmill.store.records import JobRecord
from threadmill.store.remote_records import LeftoverRecord
from threadmill_worker.attempt.job_spec import features_of
from threadmill_worker.lifecycle.batch_lane import failed, next_batches, overdue
from threadmill_worker.lifecycle.progress import Progress
from threadmill_worker.store.batch_lane import Parking
from threadmill_worker.store.redis_clock import RedisClock

log = structlog.get_logger(__name__)


class Exits:
    """Every step can be repeated. `send(job_id)` puts a message on the queue; it is called in a thread."""

    def __init__(self, settings: Settings, parking: Parking, send: Callable[[str], None], clock: RedisClock) -> None:
        self._settings = settings
        self._parking = parking
        self._send = send
        self._clock = clock

    def falls_back(self, batch: RemoteBatch) -> bool:
        """Whether its jobs may run at full price."""
        return self._settings.endpoints[batch.endpoint].lane_fallback == "full_price"

    def progress_of(self, job: JobRecord) -> Progress:
        """Where an attempt begins or continues: the time in the lane does not count towards its timeout."""
        endpoint = self._settings.endpoints[self._settings.endpoint_name(job.job.endpoint)]
        claimed = job.model_copy(update={"started_at": self._clock.moment()})
        begun = Progress.begin(claimed, features_of(job.job, endpoint, self._settings))
        if job.progress is None:
            return begun
        return replace(Progress.from_json(job.progress), deadline_at=begun.deadline_at, wait_until=0.0)

    async def let_go(self, job: JobRecord, progress: Progress) -> bool:
        """Returns a job to the queue. False: it no longer waited in the lane."""
        unparked = await self._parking.unpark(job, progress)
        if unparked:  # if its message is lost, the sweep sends another
            await asyncio.to_thread(self._send, job.id)
        return unparked

    async def fail(self, job: JobRecord, failure: Failure) -> None:
        """Returns a job to the queue as one that has failed."""
        endpoint = self._settings.endpoint_name(job.job.endpoint)
        await self.let_go(job, failed(self.progress_of(job), failure, endpoint))

    async def fail_overdue(self) -> None:
        """Fails the jobs of all lanes that have waited for too long."""
        jobs = await self._parking.overdue()
        if not jobs:
            return
        reasons = {batch.name: batch.reason for batch in await self._parking.remote_batches()}
        for job in jobs:
            try:
                endpoint = self._settings.endpoints[self._settings.endpoint_name(job.job.endpoint)]
            except SettingsError:  # another worker has it
                continue
            await self.fail(
                job, overdue(job, reasons.get(str(job.parked)), endpoint.batch_lane_limit_s, self._clock.moment())
            )

    async def give_up(self, batch: RemoteBatch, failure: Failure) -> None:
        """The server will never take this remote batch: its jobs fail, or run at full price."""
        if self.falls_back(batch):
            await self.dissolve(batch, failure.message)
            return
        jobs = await self._parking.jobs(batch)
        for job in jobs:
            await self.fail(job, failure)
        log.warning("remote batch refused", batch=batch.name, jobs=len(jobs), reason=failure.message)
        await self.end(batch)

    async def dissolve(self, batch: RemoteBatch, reason: str, left: Sequence[LeftoverRecord] | None = None) -> None:
        """Runs the jobs that still wait in it the ordinary way. `left`: default, its input file."""
        jobs = await self._parking.jobs(batch)
        for job in jobs:
            await self.let_go(job, self.progress_of(job))
        if jobs:
            log.warning("jobs leave the batch lane for the full price", batch=batch.name, jobs=len(jobs), reason=reason)
        await self.end(batch, left)

    async def end(self, batch: RemoteBatch, left: Sequence[LeftoverRecord] | None = None) -> None:
        """Removes a remote batch in which no job waits."""
        await self._parking.forget(batch, remains(batch) if left is None else left)
        log.info("remote batch over", batch=batch.name)

    async def hurry(self, lane: str) -> None:
        """Sends at once what waits for room: a remote batch of the lane has ended."""
        for waiting in await self._parking.remote_batches():
            if waiting.lane == lane and waiting.limited and waiting.batch_id is None:
                async with self._parking.holding(waiting.name) as batch:
                    if batch is not None and batch.batch_id is None:
                        await self._parking.save(batch.model_copy(update={"not_before": None}))

    async def shrink(
        self, batch: RemoteBatch, reason: str, left: Sequence[LeftoverRecord], *, by_itself: bool = False
    ) -> None:
        """Sends the jobs of a remote batch again that exceeded a limit of the server, in halves if it is too large.

        A limit on what is enqueued counts other remote batches too: unless it is too large `by_itself`, one is split
        only if no other of its lane was under way.
        """
        others = [each for each in await self._parking.remote_batches() if each.name != batch.name]
        is_alone = not any(each.batch_id and each.lane == batch.lane for each in others)
        await self.send_again(batch, reason, left, parts=2 if is_alone or by_itself else 1, limited=True)

    async def send_again(
        self, batch: RemoteBatch, reason: str, left: Sequence[LeftoverRecord], *, parts: int = 1, limited: bool = False
    ) -> None:
        """Puts the jobs that still wait in it into new remote batches, which are sent after a while."""
        if self.falls_back(batch):
            await self.dissolve(batch, reason, left)
            return
        jobs = [job.id for job in await self._parking.jobs(batch)]
        if not jobs:
            await self.end(batch, left)
            return
        names = [uuid.uuid4().hex for _ in range(min(parts, len(jobs)))]
        new = next_batches(batch, jobs, names, reason, self._clock.moment(), limited=limited)
        await self._parking.replace(batch, new, left)
        log.warning("remote batch is sent again", batch=batch.name, jobs=len(jobs), reason=reason, new=names)


def remains(batch: RemoteBatch, files: Sequence[str] = ()) -> list[LeftoverRecord]:
    """What is left of it on the server: its input file, and `files`."""
    mine = [file_id for file_id in (batch.file_id, *files) if file_id]
    return [LeftoverRecord(endpoint=batch.endpoint, kind="file", id=file_id) for file_id in mine]
