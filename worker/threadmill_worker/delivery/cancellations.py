"""Cancels the jobs that Celery's remote control names."""

from collections.abc import Collection
from functools import partial

import structlog
from redis.exceptions import RedisError

from threadmill.errors import UnreadableRecord
from threadmill.job.result import CANCELLED_WHILE_QUEUED, JobResult, JobState
from threadmill.names import is_job_id
from threadmill.redis.errors import reply_of
from threadmill_worker.attempt.ending import end_of
from threadmill_worker.monitoring.metrics import Metrics
from threadmill_worker.store.jobs import JobStore, LeaseLost

log = structlog.get_logger(__name__)


class Cancellations:
    """Cancels jobs on behalf of one worker process."""

    def __init__(self, job_store: JobStore, metrics: Metrics) -> None:
        self._job_store = job_store
        self._metrics = metrics

    async def cancel(self, job_ids: Collection[str], *, running: bool) -> None:
        """Cancels queued jobs, and with `running` also running ones. Unknown jobs are cancelled on delivery.

        Celery's remote control calls this in every worker; repeated calls have no effect. An unknown id may belong to a
        task of another Celery app.
        """
        ids = [job_id for job_id in job_ids if is_job_id(job_id)]
        try:
            unknown = [job_id for job_id in ids if not await self.cancel_one(job_id, running=running)]
            if unknown:
                on_queue, _ = await self._job_store.messages()
                for job_id in unknown:
                    await self._job_store.revoke(job_id)
                    if job_id in on_queue:
                        now = self._job_store.clock.moment()
                        await self._job_store.refuse(
                            JobResult.without_record(job_id, JobState.CANCELLED, CANCELLED_WHILE_QUEUED, now)
                        )
                    await self.cancel_one(job_id, running=running)  # it may have been delivered in between
        except RedisError as error:
            log.warning("jobs not cancelled", jobs=sorted(job_ids), reason=reply_of(error))

    async def cancel_one(self, job_id: str, *, running: bool) -> bool:
        """Cancels one job. Returns False if it does not exist."""
        try:
            record = await self._job_store.get(job_id)
            if record is None:
                return False
            is_queued = record.state is JobState.QUEUED
            end = partial(self._job_store.cancel_queued, record, CANCELLED_WHILE_QUEUED)
        except UnreadableRecord:
            is_queued, end = True, partial(self._job_store.cancel_unread, job_id, CANCELLED_WHILE_QUEUED)
        if is_queued:
            try:
                result = await end()
            except LeaseLost:
                pass  # it has been claimed, or has ended
            else:
                self._metrics.job_ended(result)
                log.info("job finished", job_id=job_id, **end_of(result))
                return True
        if running:
            await self._job_store.request_cancel(job_id)
        return True
