"""Runs the job of a delivered message, or says why not."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import structlog

from threadmill.errors import InvalidJob, NewerRecord, UnreadableRecord
from threadmill.job.prompt import PromptJob
from threadmill.job.result import Failure, FailureKind, JobResult, JobState
from threadmill.names import JOB_ID_RULE, is_job_id
from threadmill.settings.settings import Settings
from threadmill.store.records.job import JobRecord
from threadmill.tracing.spans import TraceContext
from threadmill_worker.attempt.attempts import Attempts
from threadmill_worker.attempt.own_process import OwnProcesses
from threadmill_worker.delivery.cancellations import Cancellations
from threadmill_worker.monitoring.metrics import Metrics
from threadmill_worker.store.jobs import JobStore, Lease, NoSuchJob
from threadmill_worker.tracing.jobs import JobSpan

log = structlog.get_logger(__name__)


class Deliveries:
    """The messages that one worker process receives."""

    def __init__(
        self,
        settings: Settings,
        job_store: JobStore,
        attempts: Attempts,
        cancellations: Cancellations,
        metrics: Metrics,
    ) -> None:
        self._queue = settings.queue
        self._job_store = job_store
        self._attempts = attempts
        self._own_processes = OwnProcesses(settings, job_store, attempts)
        self._cancellations = cancellations
        self._metrics = metrics
        self.is_closed = False  #: the process is about to end, and the jobs of new messages go back to the queue
        self.left_alone: set[str] = set()  #: ids of the jobs that only newer workers can run

    async def run(
        self, job_id: str, job: Mapping[str, Any] | None, expires_at: datetime | None, trace: TraceContext | None
    ) -> JobResult | None:
        """See `WorkerProcess.run`."""
        if job is not None and (refused := await self._create(job_id, job, trace)) is not None:
            return refused
        with JobSpan(self._queue, job_id) as span:
            result = await self._run(job_id, expires_at, span)
            span.ended(result)
            return result

    async def _create(self, job_id: str, job: Mapping[str, Any], trace: TraceContext | None) -> JobResult | None:
        """Creates the record of a job that a foreign Celery client sent. Returns the result of one that is refused."""
        if not is_job_id(job_id):
            return await self._refuse_id(job_id)
        try:
            await self._job_store.create(job_id, _foreign_job(job), trace)
        except InvalidJob as error:
            return await self.refuse(job_id, str(error))
        if await self._job_store.was_revoked(job_id):
            await self._cancellations.cancel_one(job_id, running=False)
        return None

    async def _refuse_id(self, job_id: str) -> JobResult:
        return await self.refuse(job_id, f"{job_id!r:.100} is not a job id: {JOB_ID_RULE}")

    async def _run(self, job_id: str, expires_at: datetime | None, span: JobSpan) -> JobResult | None:
        if not is_job_id(job_id):
            return await self._refuse_id(job_id)
        if self.is_closed:
            await self._job_store.return_to_queue([job_id])
            return None
        lease = self._job_store.lease(job_id)
        try:
            record = await self._job_store.claim(lease, span.context)
        except NoSuchJob:
            return await self.refuse(job_id, "there is no record of it; send the fields of a job, {'prompt': ...}")
        except NewerRecord as error:
            self._leave_alone(error)
            return None
        except UnreadableRecord as error:
            failure = Failure(kind=FailureKind.UNREADABLE, message=error.reason)
            return await self._attempts.run(lease, self._attempts.fail_unread(lease, failure))
        if record is None:
            log.debug("delivery ignored", job_id=job_id, reason="it has ended, waits for its turn, or runs elsewhere")
            return await self._job_store.result(job_id)
        self._metrics.job_claimed()
        span.claimed(record)
        is_late = expires_at is not None and expires_at < self._job_store.clock.moment()
        return await self._attempts.run(lease, self._execute(lease, record, is_late))

    def _leave_alone(self, error: NewerRecord) -> None:
        """Leaves a job queued. It is dispatched again and again, until a newer worker receives it."""
        if error.job_id not in self.left_alone:
            self.left_alone.add(error.job_id)
            log.warning("job left alone", job_id=error.job_id, reason=error.reason, remedy="update this worker")

    async def _execute(self, lease: Lease, record: JobRecord, is_late: bool) -> JobResult | None:
        """Runs a claimed job to its end. Returns None if it now waits in the batch lane, or was handed back."""
        if is_late and record.attempts == 1 and record.progress is None:  # otherwise it was started in time
            message = "its message expired before a worker received it; raise `expires`, or start more workers"
            failure = Failure(kind=FailureKind.OVERDUE, message=message, retryable=True)
            return await self._attempts.fail(lease, record, failure)
        if record.own_process:
            return await self._own_processes.execute(lease, record)
        return await self._attempts.execute(lease, record)

    async def refuse(self, job_id: str, reason: str) -> JobResult:
        """Stores a failed result for a message that cannot become a job, so that its sender does not wait forever."""
        log.warning("job refused", job_id=job_id, reason=reason)
        failure = Failure(kind=FailureKind.REJECTED, message=reason)
        result = JobResult.without_record(job_id, JobState.FAILED, failure, self._job_store.clock.moment())
        await self._job_store.refuse(result)
        return result


def _foreign_job(job: Mapping[str, Any]) -> PromptJob:
    parsed = PromptJob.parse(job)
    if parsed.key is not None:
        raise InvalidJob("`key`: in a plain Celery message the task id is the idempotency key; set that instead")
    return parsed
