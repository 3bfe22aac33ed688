"""Starts remote batches: uploads their requests and creates them at the provider."""

import structlog

from threadmill.job.result import Failure, FailureKind
from threadmill.store.records.batch import RemoteBatch
from threadmill.store.records.job import JobRecord
from threadmill_worker.attempt.context.contexts import Contexts
from threadmill_worker.attempt.context.not_served import NotServed
from threadmill_worker.drivers.batch_api import RemoteBatches
from threadmill_worker.drivers.requests.tags import job_tag
from threadmill_worker.maintenance.lane_release import LaneRelease
from threadmill_worker.store.batch_lane import LaneStore

log = structlog.get_logger(__name__)

_REJECTED = Failure(kind=FailureKind.REJECTED, message="the batch lane no longer accepts this job")


class LaneSubmission:
    """Starts remote batches without duplicates: `sending` is saved before each POST, and resolved by a search."""

    def __init__(self, store: LaneStore, contexts: Contexts, release: LaneRelease) -> None:
        self._store = store
        self._contexts = contexts
        self._release = release

    async def submit(self, batch: RemoteBatch, remote: RemoteBatches) -> RemoteBatch | None:
        """Returns the started batch with its `batch_id`; None if none of its jobs can be sent.

        Raises NewerRecord, LeaseLost, and what the calls of RemoteBatches raise.
        """
        if batch.file_id is None:
            uploaded = await self._upload(batch, remote)
            if uploaded is None:
                await self._release.close(batch)
                return None
            batch = uploaded
        batch_id = await remote.find(batch.name) if batch.sending else None
        if batch_id is None:
            batch = await self._save(batch, sending=True)
            batch_id = await remote.create(str(batch.file_id), batch.name)
        log.info("remote batch started", batch=batch.name, batch_id=batch_id)
        return await self._save(batch, sending=False, batch_id=batch_id)

    async def _upload(self, batch: RemoteBatch, remote: RemoteBatches) -> RemoteBatch | None:
        """Returns the batch with its `file_id`; None if no request is left to send."""
        file_id = await remote.find_file(batch.name) if batch.sending else None
        if file_id is None:
            requests = await self._requests(batch, remote)
            if not requests:
                return None
            batch = await self._save(batch, sending=True)
            file_id = await remote.upload(batch.name, requests)
        return await self._save(batch, sending=False, file_id=file_id)

    async def _save(self, batch: RemoteBatch, **fields: object) -> RemoteBatch:
        return await self._store.save(batch.model_copy(update=fields))

    async def _requests(self, batch: RemoteBatch, remote: RemoteBatches) -> bytes:
        """Returns one line per job. Jobs that this worker cannot send leave the batch."""
        lines = []
        for job in await self._store.jobs(batch):
            failure, request = _REJECTED, None
            try:
                request = await self._contexts.batch_request(job, self._release.progress_of(job, batch.key))
            except NotServed as error:
                failure = error.failure
            if request is not None:
                lines.append(remote.line(custom_id(job), request))
            elif self._release.falls_back(batch):
                log.warning("job leaves the batch lane for the full price", job_id=job.id, reason=failure.message)
                await self._store.release(job, self._release.progress_of(job, batch.key))
            else:
                await self._release.fail(job, failure)
        return b"".join(lines)


def custom_id(job: JobRecord) -> str:
    """Returns the id of a job's request in the provider's files."""
    return job_tag(job.id, len(job.history))
