"""The sweep: rescues jobs of dead workers, dispatches jobs again whose message was lost, and deletes leftovers.

All workers sweep, one at a time. Celery alone would wait for its visibility timeout, an hour by default.
"""

import asyncio

import structlog

from threadmill.errors import UnreadableRecord
from threadmill.settings.settings import Settings
from threadmill.store.records.remote import LeftoverRecord
from threadmill_worker.attempt.context.contexts import Contexts
from threadmill_worker.attempt.context.not_served import NotServed
from threadmill_worker.attempt.ending import end_of
from threadmill_worker.attempt.failures import exhausted
from threadmill_worker.drivers.base.driver import within
from threadmill_worker.lifecycle.observations import Deleted, Observation
from threadmill_worker.lifecycle.progress import Leftover
from threadmill_worker.maintenance.heartbeats import Heartbeats
from threadmill_worker.monitoring.metrics import UNCOUNTED, Metrics
from threadmill_worker.store.jobs import JobStore, LeaseLost

log = structlog.get_logger(__name__)

#: A dispatched job is made ready again if no worker has claimed it after this time and no message for it is on the
#: queue. Until then its message may be on its way from the queue to a worker.
DELIVERY_GRACE_S = 10.0

#: After a Redis outage, all leases may have expired. Living workers have this time to renew theirs, or `lease_s` if it
#: is shorter.
RENEWAL_GRACE_S = 5.0

#: How many leftovers a worker deletes at the same time.
DELETIONS = 10

#: How many times a sweep looks at some queued jobs, whether they should be ready and are not.
ADOPTIONS = 150

#: A job fails when its lease has expired this many times `max_attempts` in a row. The factor exists because a worker
#: can die for other reasons than this job: somebody may have killed it, or the machine may have failed.
INTERRUPTIONS_PER_ATTEMPT = 2


class Sweep:
    """The sweep of one worker process."""

    def __init__(
        self,
        settings: Settings,
        job_store: JobStore,
        contexts: Contexts,
        heartbeats: Heartbeats,
        metrics: Metrics = UNCOUNTED,
    ) -> None:
        self._settings = settings
        self._job_store = job_store
        self._contexts = contexts
        self._heartbeats = heartbeats
        self._metrics = metrics
        self._adopted = 0  #: of the queued jobs, as many were looked at

    async def once(self) -> None:
        """Rescues jobs and dispatches jobs again that no worker received, unless another worker is sweeping."""
        if not await self._job_store.may_sweep(self._settings.sweep_interval_s):
            return
        if await self._others_have_renewed():
            await self._rescue()
        await self._return_undelivered()
        await self._adopt()
        await self._job_store.forget_expired_threads()

    async def _others_have_renewed(self) -> bool:
        """Whether living workers have had time to renew their leases, so that an expired lease means a dead worker."""
        uptime_s = await self._job_store.uptime_s()
        return uptime_s >= RENEWAL_GRACE_S and self._heartbeats.stable_s >= min(RENEWAL_GRACE_S, self._settings.lease_s)

    async def clean_up(self) -> None:
        """Deletes the leftovers that are due. All workers do this at the same time: each leftover is taken by one."""
        await asyncio.gather(*(self._delete_due() for _ in range(DELETIONS)))

    async def _delete_due(self) -> None:
        while (leftover := await self._job_store.take_leftover()) is not None:
            await self._delete(leftover)

    async def _rescue(self) -> None:
        """Returns jobs of dead workers to the queue, with their progress. Fails a job that keeps losing its worker."""
        too_many = INTERRUPTIONS_PER_ATTEMPT * self._settings.max_attempts
        while rescued := await self._job_store.rescue(too_many):
            for job_id, interruptions in rescued:
                if interruptions >= too_many:
                    await self._fail(job_id)
                else:
                    self._metrics.job_rescued()
                    log.warning("job rescued", job_id=job_id, interruptions=interruptions)

    async def _fail(self, job_id: str) -> None:
        try:
            record = await self._job_store.get(job_id)
        except UnreadableRecord:
            await self._job_store.return_to_queue([job_id])  # the worker that claims the job fails it
            return
        if record is None:
            return
        if record.newer:  # a worker of a newer version may be able to continue it
            await self._job_store.return_to_queue([job_id])
            return
        try:
            result = await self._job_store.fail_queued(record, exhausted(record.interruptions))
        except LeaseLost:
            return  # another worker has claimed it
        self._metrics.job_ended(result)
        log.info("job finished", job_id=job_id, attempt=record.attempts, **end_of(result))

    async def _return_undelivered(self) -> None:
        """Makes dispatched jobs ready again whose message is lost. A second message for a job does no harm."""
        unclaimed = await self._job_store.undelivered(DELIVERY_GRACE_S)
        if not unclaimed:
            return
        on_queue, are_all = await self._job_store.messages()
        if not are_all:  # the messages of these jobs may be among the others
            return
        lost = [job_id for job_id in unclaimed if job_id not in on_queue]
        for job_id in await self._job_store.return_to_queue(lost):
            log.warning("job dispatched again", job_id=job_id, reason="its message was lost")

    async def _adopt(self) -> None:
        """Makes some queued jobs ready that should be and are not; continues with each sweep, and starts over."""
        for _ in range(ADOPTIONS):
            self._adopted, adopted = await self._job_store.adopt(self._adopted)
            for job_id in adopted:
                log.info("job ready", job_id=job_id, reason="it was queued, but not in the ready queue")
            if self._adopted == 0:
                return

    async def _delete(self, leftover: LeftoverRecord) -> None:
        seen: Observation | None
        try:
            objects = self._contexts.remote_objects(leftover.endpoint, leftover.key)
            deletion = objects.delete(Leftover(leftover.kind, leftover.id))
            seen = await within(self._settings.endpoints[leftover.endpoint].request_timeout_s, deletion)
            reason = repr(seen)
        except NotServed as error:
            seen, reason = None, str(error)
        except Exception as error:  # such as an id that fits no URL; the other leftovers are still deleted
            seen, reason = None, type(error).__name__
        named = {"endpoint": leftover.endpoint, "kind": leftover.kind, "id": leftover.id}
        if isinstance(seen, Deleted):
            await self._job_store.drop_leftover(leftover)
            log.info("leftover deleted", **named)
        elif not await self._job_store.postpone_leftover(leftover):
            log.error("leftover abandoned", reason=reason, **named)
