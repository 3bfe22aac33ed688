"""The attempts of a worker process. Each holds a lease on its job, which is renewed while it works."""

import asyncio
import time
from collections.abc import Collection, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from redis.exceptions import RedisError

from threadmill.errors import UnreadableRecord
from threadmill.job.events.timeline import TimelineKind
from threadmill.job.result import Failure, FailureKind, JobResult, JobState
from threadmill.redis.errors import reply_of
from threadmill.settings.settings import Settings
from threadmill.store.records.job import JobRecord
from threadmill.store.records.worker import FailingEndpoint, merge_failing_endpoints
from threadmill_worker.attempt.attempt import Attempt
from threadmill_worker.attempt.context.contexts import Contexts
from threadmill_worker.attempt.context.not_served import NotServed
from threadmill_worker.attempt.ending import end_of
from threadmill_worker.attempt.failures import unexpected
from threadmill_worker.attempt.tasks import stop
from threadmill_worker.attempt.timeline import AttemptTimeline
from threadmill_worker.lifecycle.actions import LANDING_S
from threadmill_worker.monitoring.metrics import UNCOUNTED, Metrics
from threadmill_worker.store.batch_lane import LaneStore
from threadmill_worker.store.jobs import JobStore, Lease, LeaseLost, LeftPool

log = structlog.get_logger(__name__)

#: How often leases are renewed and cancel requests are noticed, in seconds; more often if leases are short.
HEARTBEAT_S = 1.0


def heartbeat_s(settings: Settings) -> float:
    return min(HEARTBEAT_S, settings.lease_s / 3)


class Running(Protocol):
    """An attempt that can be stopped."""

    @property
    def failing_endpoint(self) -> FailingEndpoint | None:
        """Set while the server returns no usable replies."""
        ...

    @property
    def calls(self) -> int | None:
        """HTTP calls made for the job so far; None: unknown to this process."""
        ...

    @property
    def in_child(self) -> bool:
        """Whether a child process runs it, which renews the lease too."""
        ...

    def cancel(self) -> None:
        """Cancels the remote run, deletes the remote objects and ends the job. Can be repeated."""
        ...

    def left_pool(self) -> LeftPool | None:
        """Returns how the job leaves its pool now; None: unknown to this process."""
        ...

    def run_ended(self, run_id: str) -> None:
        """Polls the run soon, if it can: a webhook says that it has ended."""
        ...

    def leave(self) -> bool:
        """Starts no new call. Returns whether the task can be stopped now without a call of unknown outcome."""
        ...


@dataclass
class _Held:
    lease: Lease
    task: asyncio.Task[Any]
    attempt: Running | None = None  #: None while its context is opened

    @property
    def calls(self) -> int | None:
        return self.attempt.calls if self.attempt else None


class Attempts:
    """`handed_back`: how many jobs this process has returned to the queue."""

    def __init__(
        self, job_store: JobStore, contexts: Contexts, lane_store: LaneStore, metrics: Metrics = UNCOUNTED
    ) -> None:
        self.handed_back = 0
        self._metrics = metrics
        self._job_store = job_store
        self._contexts = contexts
        self._lane_store = lane_store
        self._held: dict[str, _Held] = {}

    def __len__(self) -> int:
        return len(self._held)

    async def run(self, lease: Lease, execute: Coroutine[Any, Any, JobResult | None]) -> JobResult | None:
        """Executes a claimed job; None if this worker no longer holds it.

        An earlier attempt of this process at the same job is stopped first. An unexpected exception fails the job.
        """
        while earlier := self._held.get(lease.job_id):
            await stop([earlier.task], [earlier.task])
        task = asyncio.create_task(execute, name=lease.job_id)  # the watchdog logs the name
        self._held[lease.job_id] = _Held(lease, task)
        try:
            result = await self._await_end(lease, task)
            if result is not None:
                self._metrics.job_ended(result)
            return result
        except LeaseLost:
            self._metrics.lease_lost()
            log.warning("lease lost", job_id=lease.job_id)
            return None
        finally:
            del self._held[lease.job_id]

    async def execute(self, lease: Lease, record: JobRecord) -> JobResult | None:
        """Executes a claimed job to its end. None: it waits in the batch lane."""
        try:
            context = await self._contexts.open(record)
        except NotServed as error:
            return await self.fail(lease, record, error.failure)
        if context.spec.batch_lane is not None and record.progress is None:
            await context.events.close()
            timeline = AttemptTimeline(record, context.spec.endpoint, self._job_store.clock.now)
            await self._wait_in_lane(lease, record, context.spec.batch_lane, timeline)
            return None
        log.info("job claimed", job_id=record.id, attempt=record.attempts, endpoint=context.spec.endpoint)
        attempt = Attempt(lease, record, context, self._job_store, self._job_store.clock.now)
        self.register(lease, attempt)
        result = await attempt.execute()
        if result is None and context.spec.batch_lane is not None:
            await self._wait_in_lane(lease, record, context.spec.batch_lane, attempt.timeline)
        return result

    def register(self, lease: Lease, attempt: Running) -> None:
        """Registers the attempt, so that it is cancelled on request and stopped with the process."""
        self._held[lease.job_id].attempt = attempt

    async def renew(self, free_slots: int | None = None) -> list[str]:
        """One heartbeat: renews the leases, passes on cancel requests, stops attempts without a lease.

        It also reads the clock of Redis. `free_slots`: see `JobStore.renew`. Returns the jobs that are followed.
        """
        calls = {job_id: count for job_id, held in self._held.items() if (count := held.calls) is not None}
        signals = await self._job_store.renew([held.lease for held in self._held.values()], calls, free_slots)
        for job_id, signal in signals.items():
            if (held := self._held.get(job_id)) is None:
                continue
            attempt = held.attempt
            if signal == "lost" and not (attempt and attempt.in_child):
                held.task.cancel()
            elif signal == "cancel" and attempt is not None:  # otherwise the next renewal repeats the request
                attempt.cancel()
        await self._job_store.clock.synchronise()
        return [job_id for job_id, signal in signals.items() if signal == "followed"]

    def run_ended(self, job_id: str, run_id: str) -> None:
        """Has a run polled, because a webhook says that it has ended, unless the job has left this process."""
        held = self._held.get(job_id)
        if held is not None and held.attempt is not None:  # otherwise it polls when it begins
            held.attempt.run_ended(run_id)

    async def hand_back(self, awaited: Collection[asyncio.Future[Any]]) -> None:
        """Stops all attempts until `awaited` is empty; calls that create something complete first, within LANDING_S."""
        late_at = time.monotonic() + LANDING_S
        while awaited:
            is_late = time.monotonic() > late_at
            leaving = [held for held in self._held.values() if held.attempt is None or held.attempt.leave() or is_late]
            await stop([held.task for held in leaving], awaited)

    @property
    def failing_endpoints(self) -> tuple[FailingEndpoint, ...]:
        """The endpoints that return no usable replies."""
        attempts = [held.attempt for held in self._held.values() if held.attempt]
        return merge_failing_endpoints(failing for attempt in attempts if (failing := attempt.failing_endpoint))

    async def fail(self, lease: Lease, record: JobRecord, failure: Failure) -> JobResult:
        """Fails a job that this worker holds. Raises LeaseLost."""
        result = await self._job_store.fail(lease, record, failure)
        log.info("job finished", job_id=record.id, attempt=record.attempts, **end_of(result))
        return result

    async def fail_unread(self, lease: Lease, failure: Failure) -> JobResult:
        """Fails a job that this worker holds without reading its record. Raises LeaseLost."""
        result = JobResult.without_record(lease.job_id, JobState.FAILED, failure, self._job_store.clock.moment())
        await self._job_store.finish(lease, result, ())
        log.error("job finished", job_id=lease.job_id, **end_of(result))
        return result

    async def _wait_in_lane(self, lease: Lease, record: JobRecord, lane: str, timeline: AttemptTimeline) -> None:
        timeline.note(TimelineKind.LANE)
        await self._lane_store.wait(lease, record, lane, timeline.unsaved)

    async def _await_end(self, lease: Lease, task: asyncio.Task[JobResult | None]) -> JobResult | None:
        try:
            return await task
        except asyncio.CancelledError:
            await self._hand_back(lease)
            return None
        except (LeaseLost, RedisError):
            raise  # Redis is not the job's fault: its lease expires, and the sweep rescues it
        except UnreadableRecord as error:
            return await self.fail_unread(lease, Failure(kind=FailureKind.UNREADABLE, message=error.reason))
        except Exception as error:
            log.exception("attempt failed unexpectedly", job_id=lease.job_id)
            return await self._fail_unexpected(lease, error)

    async def _fail_unexpected(self, lease: Lease, error: Exception) -> JobResult | None:
        """Fails the job without another attempt, which would most likely fail in the same way."""
        failure = unexpected(error)
        try:
            record = await self._job_store.get(lease.job_id)  # with the progress that the attempt saved
            return await self.fail(lease, record, failure) if record else None
        except (UnreadableRecord, ValueError, LookupError, TypeError):  # the record itself causes the error
            return await self.fail_unread(lease, failure)

    async def _hand_back(self, lease: Lease) -> None:
        try:
            held = self._held[lease.job_id]
            left = held.attempt.left_pool() if held.attempt else None
            if not await self._job_store.hand_back(lease, held.calls, left):
                raise LeaseLost(lease.job_id)
            self.handed_back += 1
            self._metrics.job_handed_back()
            log.info("job handed back", job_id=lease.job_id)
        except RedisError as error:
            log.warning("job not handed back: its lease will expire", job_id=lease.job_id, reason=reply_of(error))
