"""The sweep: rescues jobs of dead workers, sends lost messages again and deletes leftovers.

Every worker sweeps, one at a time. Celery alone would wait for its visibility timeout, an hour by default.
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
from threadmill_worker.maintenance.pulse import Pulse
from threadmill_worker.store.jobs import LeaseLost, Ledger

log = structlog.get_logger(__name__)

#: A job is sent again if it has been queued for longer than this and no message of it is on the queue.
#: Until then its message may be on its way: to the queue, or from the queue to a worker's claim.
SEND_GRACE_S = 10.0

#: After Redis was away every lease may have lapsed: living workers are given so long to renew theirs, or `lease_s` if
#: that is less.
RENEWAL_GRACE_S = 5.0

#: Leftovers that a worker deletes at a time.
DELETIONS = 10

#: A job is failed after so many times `max_attempts` lapses in a row. The death of a worker is weaker evidence than
#: that of the job's own process: somebody may have killed the worker, or the machine may have failed.
LAPSES_PER_ATTEMPT = 2

#: Reading the whole queue is the most expensive part of a sweep: it is done once in so many sweeps.
SWEEPS_PER_RESEND = 6


class Sweep:
    """`send(job_id)` puts a message on the queue; it is called in a thread. `pulse`: of the worker's heartbeats.

    `left_alone`: jobs that this worker leaves to a newer one.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        servers: Contexts,
        send: Callable[[str], None],
        pulse: Pulse,
        left_alone: Container[str] = (),
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._servers = servers
        self._send = send
        self._pulse = pulse
        self._left_alone = left_alone
        self._turns = 0

    async def once(self) -> None:
        """Looks for expired leases and lost messages, if it is this worker's turn."""
        if not await self._ledger.may_sweep(self._settings.sweep_interval_s):
            return
        if await self._others_have_renewed():
            await self._rescue()
        if self._turns % SWEEPS_PER_RESEND == 0:
            await self._send_lost()
        self._turns += 1

    async def _others_have_renewed(self) -> bool:
        """Whether an expired lease means a dead worker: living workers have had time to renew theirs."""
        uptime_s = await self._ledger.uptime_s()
        return uptime_s >= RENEWAL_GRACE_S and self._pulse.steady_s >= min(RENEWAL_GRACE_S, self._settings.lease_s)

    async def clean_up(self) -> None:
        """Deletes the leftovers that are due. Each is taken by one worker, so all of them may do so at once."""
        await asyncio.gather(*(self._delete_due() for _ in range(DELETIONS)))

    async def _delete_due(self) -> None:
        while (leftover := await self._ledger.take_leftover()) is not None:
            await self._delete(leftover)

    async def _rescue(self) -> None:
        """Returns the jobs of dead workers to the queue with their progress.

        One that this happens to again and again, though it has run in a process of its own, is failed.
        """
        for job_id, lapses in await self._ledger.rescue():
            if lapses >= LAPSES_PER_ATTEMPT * self._settings.max_attempts:
                await self._fail(job_id)
            else:
                await asyncio.to_thread(self._send, job_id)
                log.warning("job rescued", job_id=job_id, lapses=lapses)

    async def _fail(self, job_id: str) -> None:
        try:
            record = await self._ledger.get(job_id)
        except UnreadableRecord:
            await asyncio.to_thread(self._send, job_id)  # the worker that claims it fails it
            return
        if record is None:
            return
        if record.newer:  # the worker of a newer version that claims it may go on with it
            await asyncio.to_thread(self._send, job_id)
            return
        try:
            result = await self._ledger.fail_queued(record, exhausted(record.lapses))
        except LeaseLost:
            return  # claimed after all
        log.info("job finished", job_id=job_id, attempt=record.attempts, **end_of(result))

    async def _send_lost(self) -> None:
        """Sends a new message for queued jobs without one. A surplus message is harmless."""
        queued = await self._ledger.long_queued(SEND_GRACE_S)
        if not queued:
            return
        announced = {job_id async for job_id in self._ledger.messages()}
        for job_id in queued:
            if job_id not in announced:
                await asyncio.to_thread(self._send, job_id)
                if job_id in self._left_alone:
                    log.debug("job sent again", job_id=job_id, reason="only a newer worker runs it")
                else:
                    log.warning("job sent again", job_id=job_id, reason="its message was lost")

    async def _delete(self, leftover: LeftoverRecord) -> None:
        view: Observation | None
        try:
            deletion = self._servers.remote_objects(leftover.endpoint).delete(Leftover(leftover.kind, leftover.id))
            view = await within(self._settings.endpoints[leftover.endpoint].request_timeout_s, deletion)
            reason = repr(view)
        except NotServed as error:
            view, reason = None, str(error)
        except Exception as error:  # an id that fits no URL, a kind of a newer version: the others are not held up
            view, reason = None, type(error).__name__
        named = {"endpoint": leftover.endpoint, "kind": leftover.kind, "id": leftover.id}
        if isinstance(view, Deleted):
            await self._ledger.drop_leftover(leftover)
            log.info("leftover deleted", **named)
        elif not await self._ledger.postpone_leftover(leftover):
            log.error("leftover given up", reason=reason, **named)
