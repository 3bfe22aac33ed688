"""The batch lane: jobs wait together, are sent to the provider in one file, and return to the queue with their answers.

An attempt continues an answered job as if its run had just ended. With `lane_fallback = "none"`, no job leaves the lane
to run at full price: without an answer, it is sent in another remote batch, or returns to the queue as failed.
"""

import asyncio
import uuid

import structlog

from threadmill.errors import NewerRecord
from threadmill.job.result import FailureKind
from threadmill.settings.endpoints.pool_name import Pool
from threadmill.settings.settings import Settings
from threadmill.store.records.batch import RemoteBatch
from threadmill.stored import warn
from threadmill_worker.attempt.context.contexts import Contexts
from threadmill_worker.drivers.batch_api import BatchesAway, BatchesRefused, BatchTooLarge
from threadmill_worker.lifecycle.batch_lane import in_turn
from threadmill_worker.lifecycle.polling import POLL_SHARE
from threadmill_worker.maintenance.lane_answers import LaneAnswers
from threadmill_worker.maintenance.lane_release import LaneRelease, leftover_files
from threadmill_worker.maintenance.lane_submission import LaneSubmission
from threadmill_worker.store.batch_lane import LaneStore, new_batch
from threadmill_worker.store.redis_clock import RedisClock

log = structlog.get_logger(__name__)

#: The longest time for one step of a remote batch: to upload its requests, or to read its answers.
MAX_STEP_S = 300.0

#: The longest pause between two polls of a remote batch; most take minutes to hours.
MAX_POLL_INTERVAL_S = 120.0

#: Providers end a remote batch within a day. Jobs that may run at full price wait no longer than this for its answers.
UNANSWERED_LIMIT_S = 26 * 3600

#: An operator can fix the key or the account; until then, a started remote batch, which has to be paid for, is kept.
_FIXABLE = frozenset({FailureKind.UNAUTHORISED, FailureKind.QUOTA})


class BatchLane:
    """The lane's periodic step."""

    def __init__(self, settings: Settings, store: LaneStore, contexts: Contexts, clock: RedisClock) -> None:
        self._settings = settings
        self._store = store
        self._contexts = contexts
        self._clock = clock
        self._release = LaneRelease(settings, store, clock)
        self._submission = LaneSubmission(store, contexts, self._release)
        self._answers = LaneAnswers(settings, store, self._release, clock)
        self._poll_at: dict[str, float] = {}  #: by remote batch
        self._ended: asyncio.Queue[tuple[str, str]] = asyncio.Queue()  #: endpoints and ids on the server

    async def once(self) -> None:
        """Fails overdue jobs, gathers waiting jobs into remote batches, and advances each remote batch that is due."""
        await self._clock.ready()
        await self._release.fail_overdue()
        await self._gather()
        known = await self._store.remote_batches()
        self._poll_at = {batch.name: self._poll_at.get(batch.name, 0.0) for batch in known}
        ready = [batch for batch in known if batch.endpoint in self._contexts.ready]
        due = [batch for batch in in_turn(ready) if self._is_due(batch)]
        await asyncio.gather(*(self._advance(batch.name) for batch in due))

    def batch_ended(self, endpoint: str, batch_id: str) -> None:
        """Has `poll_ended` poll a remote batch, because a webhook says that it has ended."""
        self._ended.put_nowait((endpoint, batch_id))

    async def poll_ended(self) -> None:
        """Polls remote batches as soon as webhooks say that they have ended. Those of others are ignored.

        While another worker polls one, or this one cannot, it is polled later, as without webhooks.
        """
        while True:
            ended = await self._ended.get()
            for batch in await self._store.remote_batches():
                if (batch.endpoint, batch.batch_id) == ended and batch.endpoint in self._contexts.ready:
                    await self._advance(batch.name)

    async def _gather(self) -> None:
        for lane in await self._store.lanes():
            endpoint = Pool.parse(lane).endpoint
            if endpoint not in self._contexts.ready:
                continue
            batch = new_batch(uuid.uuid4().hex, lane, self._clock.moment())
            jobs = await self._store.collect(lane, batch, self._settings.endpoints[endpoint])
            if jobs:
                log.info("remote batch gathered", batch=batch.name, lane=lane, jobs=jobs)

    def _is_due(self, batch: RemoteBatch) -> bool:
        may_start = batch.not_before is None or self._clock.moment() >= batch.not_before
        return may_start and self._clock.now() >= self._poll_at[batch.name]

    async def _advance(self, name: str) -> None:
        """Advances a remote batch by one step, unless another worker holds its lease."""
        async with self._store.holding(name) as batch:
            if batch is None:
                return
            try:
                await self._step(batch)
            except NewerRecord as error:
                warn(f"remote batch {name} is left alone: {error.reason} (job {error.job_id}); update this worker")

    async def _step(self, batch: RemoteBatch) -> None:
        """Starts a remote batch, or polls it and takes its answers.

        Raises NewerRecord if only newer workers can run one of its jobs; the whole batch is then left to them.
        """
        age_s = self._clock.now() - batch.made_at.timestamp()
        first_poll_s = self._settings.endpoints[batch.endpoint].first_poll_s
        self._poll_at[batch.name] = self._clock.now() + min(max(age_s * POLL_SHARE, first_poll_s), MAX_POLL_INTERVAL_S)
        remote = self._contexts.batches(batch.endpoint, batch.key)
        try:
            async with asyncio.timeout(MAX_STEP_S):
                started = batch if batch.batch_id else await self._submission.submit(batch, remote)
                if started is not None:
                    await self._answers.collect(started, remote)
        except (BatchTooLarge, BatchesRefused, BatchesAway, TimeoutError) as error:
            current = await self._store.get(batch.name)
            if current is not None:
                await self._call_failed(current, error, age_s)

    async def _call_failed(self, batch: RemoteBatch, error: Exception, age_s: float) -> None:
        match error:
            case BatchTooLarge():
                await self._release.send_smaller(batch, str(error), leftover_files(batch), by_itself=error.by_itself)
                return
            case BatchesRefused() if not (batch.batch_id and error.failure.kind in _FIXABLE):
                await self._release.refused(batch, error.failure)
                return
        reason = str(error) or f"the step took longer than {MAX_STEP_S:.0f} s"
        log.warning("remote batch call failed", batch=batch.name, reason=reason)
        limit_s = UNANSWERED_LIMIT_S if batch.batch_id else self._settings.endpoints[batch.endpoint].unreachable_limit_s
        if self._release.falls_back(batch) and age_s > limit_s:
            await self._release.release_all(batch, f"the server has not answered for {limit_s:.0f} s")
        elif batch.reason != reason:  # the step is repeated until the jobs are overdue
            await self._store.save(batch.model_copy(update={"reason": reason}))
