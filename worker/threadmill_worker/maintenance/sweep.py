"""The sweep: rescues jobs of dead workers, sends lost messages again and deletes leftovers.

All workers sweep, one at a time. Celery alone would wait for its visibility timeout, an hour by default.
"""

import asyncio
from collections.abc import Callable, Container

import structlog

from threadmill.errors import UnreadableRecord
from threadmill.settings.settings import Settings
from threadmill.store.remote_records import LeftoverRecord
from threadmill_worker.attempt.context import Contexts
from threadmill_worker.attempt.ending import end_of
from threadmill_worker.attempt.failures import exhausted
from threadmill_worker.attempt.not_served import NotServed
from threadmill_worker.drivers.driver import within
from threadmill_worker.lifecycle.observations import Deleted, Observation
from threadmill_worker.lifecycle.progress import Leftover
from threadmill_worker.maintenance.heartbeats import Heartbeats
from threadmill_worker.store.jobs import JobStore, LeaseLost

log = structlog.get_logger(__name__)

#: A queued job without a message is sent again after this time. Until then its message may be on its way to the queue,
#: or from the queue to a worker.
SEND_GRACE_S = 10.0

#: After a Redis outage, all leases may have expired. Living workers have this time to renew theirs, or `lease_s` if it
#: is shorter.
RENEWAL_GRACE_S = 5.0

#: How many leftovers a worker deletes at the same time.
DELETIONS = 10

#: A job fails when its lease has expired this many times `max_attempts` in a row. The factor exists because a worker
#: can die for other reasons than this job: somebody may have killed it, or the machine may have failed.
INTERRUPTIONS_PER_ATTEMPT = 2

#: Only every sixth sweep looks for lost messages: it has to read the whole queue.
SWEEPS_PER_RESEND = 6


class Sweep:
    """The sweep of one worker process. `send(job_id)` puts a message on the queue; it is called in a thread.

    `left_alone`: ids of the jobs that only newer workers can run.
    """

    def __init__(
        self,
        settings: Settings,
        job_store: JobStore,
        contexts: Contexts,
        send: Callable[[str], None],
        heartbeats: Heartbeats,
        left_alone: Container[str] = (),
    ) -> None:
        self._settings = settings
        self._job_store = job_store
        self._contexts = contexts
        self._send = send
        self._heartbeats = heartbeats
        self._left_alone = left_alone
        self._sweeps = 0

    async def once(self) -> None:
        """Rescues jobs and sends lost messages again, unless another worker is sweeping."""
        if not await self._job_store.may_sweep(self._settings.sweep_interval_s):
            return
        if await self._others_have_renewed():
            await self._rescue()
        if self._sweeps % SWEEPS_PER_RESEND == 0:
            await self._send_lost()
        self._sweeps += 1

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
        for job_id, interruptions in await self._job_store.rescue():
            if interruptions >= INTERRUPTIONS_PER_ATTEMPT * self._settings.max_attempts:
                await self._fail(job_id)
            else:
                await asyncio.to_thread(self._send, job_id)
                log.warning("job rescued", job_id=job_id, interruptions=interruptions)

    async def _fail(self, job_id: str) -> None:
        try:
            record = await self._job_store.get(job_id)
        except UnreadableRecord:
            await asyncio.to_thread(self._send, job_id)  # the worker that claims the job fails it
            return
        if record is None:
            return
        if record.newer:  # a worker of a newer version may be able to continue it
            await asyncio.to_thread(self._send, job_id)
            return
        try:
            result = await self._job_store.fail_queued(record, exhausted(record.interruptions))
        except LeaseLost:
            return  # another worker has claimed it
        log.info("job finished", job_id=job_id, attempt=record.attempts, **end_of(result))

    async def _send_lost(self) -> None:
        """Sends messages for queued jobs that have none. A second message for a job does no harm."""
        queued = await self._job_store.long_queued(SEND_GRACE_S)
        if not queued:
            return
        on_queue = {job_id async for job_id in self._job_store.messages()}
        for job_id in queued:
            if job_id not in on_queue:
                await asyncio.to_thread(self._send, job_id)
                if job_id in self._left_alone:
                    log.debug("job sent again", job_id=job_id, reason="only a newer worker runs it")
                else:
                    log.warning("job sent again", job_id=job_id, reason="its message was lost")

    async def _delete(self, leftover: LeftoverRecord) -> None:
        seen: Observation | None
        try:
            deletion = self._contexts.remote_objects(leftover.endpoint).delete(Leftover(leftover.kind, leftover.id))
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
