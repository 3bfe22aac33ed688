"""Moves jobs out of a remote batch: to the queue, or into another remote batch."""

import uuid
from collections.abc import Sequence
from dataclasses import replace

import structlog

from threadmill.errors import SettingsError
from threadmill.job.result import Failure
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill.settings.settings import Settings
from threadmill.store.records.batch import RemoteBatch
from threadmill.store.records.job import JobRecord
from threadmill.store.records.remote import LeftoverRecord
from threadmill_worker.attempt.context.job_spec import features_of
from threadmill_worker.lifecycle.batch_lane import failed, next_batches, overdue
from threadmill_worker.lifecycle.progress import Progress
from threadmill_worker.store.batch_lane import LaneStore
from threadmill_worker.store.redis_clock import RedisClock

log = structlog.get_logger(__name__)


class LaneRelease:
    """The steps, which can be repeated."""

    def __init__(self, settings: Settings, store: LaneStore, clock: RedisClock) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock

    def falls_back(self, batch: RemoteBatch) -> bool:
        """Whether jobs of this batch may run at full price."""
        return self._settings.endpoints[batch.endpoint].lane_fallback == "full_price"

    def progress_of(self, job: JobRecord, key: str | None = None) -> Progress:
        """Returns the progress for the next attempt. The time in the lane does not count towards the timeout.

        `key`: the key of the job's remote batch.
        """
        claimed = job.model_copy(update={"started_at": self._clock.moment()})
        progress = Progress.begin(claimed, features_of(job.job, self._endpoint(job), self._settings), key)
        if job.progress is None:
            return progress
        return replace(Progress.from_json(job.progress), deadline_at=progress.deadline_at, wait_until=0.0)

    async def fail(self, job: JobRecord, failure: Failure) -> None:
        """Returns a job to the queue as failed; the next attempt stores the result."""
        endpoint = self._settings.endpoint_name(job.job.endpoint)
        await self._store.release(job, failed(self.progress_of(job), failure, endpoint))

    async def fail_overdue(self) -> None:
        """Fails the jobs of all lanes that have waited longer than their limit."""
        jobs = await self._store.overdue()
        if not jobs:
            return
        reasons = {batch.name: batch.reason for batch in await self._store.remote_batches()}
        for job in jobs:
            try:
                limit_s = self._endpoint(job).batch_lane_limit_s
            except SettingsError:  # a worker with this endpoint fails it
                continue
            await self.fail(job, overdue(job, reasons.get(str(job.remote_batch)), limit_s, self._clock.moment()))

    async def refused(self, batch: RemoteBatch, failure: Failure) -> None:
        """Ends a remote batch that the server will never accept: its jobs fail, or run at full price."""
        if self.falls_back(batch):
            await self.release_all(batch, failure.message)
            return
        jobs = await self._store.jobs(batch)
        for job in jobs:
            await self.fail(job, failure)
        log.warning("remote batch refused", batch=batch.name, jobs=len(jobs), reason=failure.message)
        await self.close(batch)

    async def release_all(
        self, batch: RemoteBatch, reason: str, leftovers: Sequence[LeftoverRecord] | None = None
    ) -> None:
        """Returns the batch's waiting jobs to the queue, to run at full price. `leftovers`: as in `close`."""
        jobs = await self._store.jobs(batch)
        for job in jobs:
            await self._store.release(job, self.progress_of(job, batch.key))
        if jobs:
            log.warning("jobs leave the batch lane for the full price", batch=batch.name, jobs=len(jobs), reason=reason)
        await self.close(batch, leftovers)

    async def close(self, batch: RemoteBatch, leftovers: Sequence[LeftoverRecord] | None = None) -> None:
        """Removes a remote batch in which no job waits. `leftovers`: what to delete; default: its input file."""
        await self._store.forget(batch, leftover_files(batch) if leftovers is None else leftovers)
        log.info("remote batch closed", batch=batch.name)

    async def start_limited(self, lane: str) -> None:
        """Lets remote batches that wait because of a limit start now, after another batch of the lane has ended."""
        for waiting in await self._store.remote_batches():
            if waiting.lane == lane and waiting.limited and waiting.batch_id is None:
                async with self._store.holding(waiting.name) as batch:
                    if batch is not None and batch.batch_id is None:
                        await self._store.save(batch.model_copy(update={"not_before": None}))

    async def send_smaller(
        self, batch: RemoteBatch, reason: str, leftovers: Sequence[LeftoverRecord], *, by_itself: bool = False
    ) -> None:
        """Sends the jobs of a remote batch that exceeded a limit of the server again, in halves if it was too large.

        Limits count all enqueued remote batches together. The batch itself was too large if the server says so
        (`by_itself`), or if no other remote batch of its lane was enqueued.
        """
        others = [other for other in await self._store.remote_batches() if other.name != batch.name]
        is_alone = not any(other.batch_id and other.lane == batch.lane for other in others)
        await self.send_again(batch, reason, leftovers, parts=2 if is_alone or by_itself else 1, limited=True)

    async def send_again(
        self,
        batch: RemoteBatch,
        reason: str,
        leftovers: Sequence[LeftoverRecord],
        *,
        parts: int = 1,
        limited: bool = False,
    ) -> None:
        """Moves the waiting jobs into `parts` new remote batches, which start after a pause, or to the full price."""
        if self.falls_back(batch):
            await self.release_all(batch, reason, leftovers)
            return
        jobs = [job.id for job in await self._store.jobs(batch)]
        if not jobs:
            await self.close(batch, leftovers)
            return
        names = [uuid.uuid4().hex for _ in range(min(parts, len(jobs)))]
        new = next_batches(batch, jobs, names, reason, self._clock.moment(), limited=limited)
        await self._store.replace(batch, new, leftovers)
        log.warning("remote batch sent again", batch=batch.name, jobs=len(jobs), reason=reason, new=names)

    def _endpoint(self, job: JobRecord) -> Endpoint:
        """Returns the job's endpoint. Raises SettingsError if this worker does not have it."""
        return self._settings.endpoints[self._settings.endpoint_name(job.job.endpoint)]


def leftover_files(batch: RemoteBatch, files: Sequence[str] = ()) -> list[LeftoverRecord]:
    """Returns the input file of an ended remote batch, and `files`, as leftovers to delete."""
    ids = [file_id for file_id in (batch.file_id, *files) if file_id]
    return [LeftoverRecord(endpoint=batch.endpoint, kind="file", id=file_id, key=batch.key) for file_id in ids]
