"""Polls remote batches, and returns their jobs to the queue with their answers."""

from dataclasses import dataclass, field

from threadmill.job.result import Failure
from threadmill.settings.settings import Settings
from threadmill.store.records.batch import RemoteBatch
from threadmill.store.records.job import JobRecord
from threadmill.store.records.remote import LeftoverRecord
from threadmill_worker.drivers.batch_api import BatchesRefused, RemoteBatches
from threadmill_worker.lifecycle.batch_lane import answered, refused, verdict
from threadmill_worker.lifecycle.batch_observations import Answered, BatchObservation
from threadmill_worker.maintenance.lane_release import LaneRelease, leftover_files
from threadmill_worker.maintenance.lane_submission import custom_id
from threadmill_worker.store.batch_lane import LaneStore
from threadmill_worker.store.redis_clock import RedisClock


@dataclass
class _Unanswered:
    """The rest of an ended remote batch after its answers have been taken."""

    jobs: dict[str, JobRecord]  #: jobs without an answer, by custom id
    failures: dict[str, Failure] = field(default_factory=dict)  #: why the server refused some of them, by custom id
    responses: list[LeftoverRecord] = field(default_factory=list)  #: answers of jobs that no longer wait for them


class LaneAnswers:
    def __init__(self, settings: Settings, store: LaneStore, release: LaneRelease, clock: RedisClock) -> None:
        self._settings = settings
        self._store = store
        self._release = release
        self._clock = clock

    async def collect(self, batch: RemoteBatch, remote: RemoteBatches) -> None:
        """Polls a started remote batch. If it has ended, takes its answers and releases its other jobs.

        Raises NewerRecord, LeaseLost, and what the calls of RemoteBatches raise.
        """
        assert batch.batch_id is not None
        seen = await remote.look(batch.batch_id)
        jobs = {custom_id(job): job for job in await self._store.jobs(batch)}
        if seen.over:
            unanswered = await self._take_answers(batch, remote, seen, jobs)
            await self._close(batch, remote, seen, unanswered)
            return
        if batch.reason is not None and seen.status == "in_progress":
            await self._store.save(batch.model_copy(update={"reason": None}))
        if not jobs and seen.status != "cancelling":  # all its jobs were cancelled
            await remote.cancel(batch.batch_id)

    async def _take_answers(
        self, batch: RemoteBatch, remote: RemoteBatches, seen: BatchObservation, jobs: dict[str, JobRecord]
    ) -> _Unanswered:
        left = _Unanswered(jobs)
        for file_id in seen.files:
            async for answer in remote.read(file_id):
                if answer.failure is not None and answer.custom_id in jobs:
                    left.failures[answer.custom_id] = answer.failure
                elif answer.run is not None and not await self._take(batch, jobs.pop(answer.custom_id, None), answer):
                    response = LeftoverRecord(endpoint=batch.endpoint, kind="response", id=answer.run.id, key=batch.key)
                    left.responses.append(response)
        return left

    async def _take(self, batch: RemoteBatch, job: JobRecord | None, answer: Answered) -> bool:
        """Releases a job with its answer. Returns False if no job waited for it any longer."""
        if job is None:
            return False
        limits = self._settings.endpoints[batch.endpoint]
        progress = answered(self._release.progress_of(job, batch.key), answer, limits, self._clock.now())
        return await self._store.release(job, progress)

    async def _close(
        self, batch: RemoteBatch, remote: RemoteBatches, seen: BatchObservation, unanswered: _Unanswered
    ) -> None:
        messages = (failure.message for failure in unanswered.failures.values())
        reason = seen.reason or next(messages, f"the remote batch was {seen.status} without them")
        leftovers = [*leftover_files(batch, seen.files), *unanswered.responses]
        if not unanswered.jobs:
            await self._release.close(batch, leftovers)
        elif self._release.falls_back(batch):
            await self._release.release_all(batch, reason, leftovers)
        elif seen.limited:
            await self._release.send_smaller(batch, reason, leftovers)
        else:
            await self._fail_refused(batch, seen, unanswered, await self._refused_lines(batch, remote, seen))
            await self._release.send_again(batch, reason, leftovers)
        if not seen.limited:
            await self._release.start_limited(batch.lane)

    async def _fail_refused(
        self, batch: RemoteBatch, seen: BatchObservation, unanswered: _Unanswered, refused_lines: dict[str, str]
    ) -> None:
        """Releases the jobs that another remote batch would not answer either."""
        limits, now = self._settings.endpoints[batch.endpoint], self._clock.now()
        for id, job in unanswered.jobs.items():
            if id in unanswered.failures:
                progress = self._release.progress_of(job, batch.key)
                progress = refused(progress, unanswered.failures[id], batch.endpoint, limits, now)
                await self._store.release(job, progress)
            elif (failure := verdict(id, seen, refused_lines)) is not None:
                await self._release.fail(job, failure)

    async def _refused_lines(self, batch: RemoteBatch, remote: RemoteBatches, seen: BatchObservation) -> dict[str, str]:
        """Returns why the server refused lines of the input file, by custom id."""
        if not seen.wrong or batch.file_id is None:
            return {}
        try:
            ids = await remote.custom_ids(batch.file_id)
        except BatchesRefused:  # without the file, the reason counts for all jobs
            return {}
        return {ids[line - 1]: reason for line, reason in seen.wrong.items() if 0 < line <= len(ids)}
