"""A worker process: runs its jobs and its periodic steps in one event loop."""

import asyncio
import os
import socket
import uuid
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from importlib.metadata import version
from typing import Any

import structlog
from redis.exceptions import RedisError

from threadmill.job.result import JobResult
from threadmill.redis.errors import reply_of
from threadmill.settings.settings import Settings
from threadmill.store.records.job import FORMAT
from threadmill.store.records.worker import Worker
from threadmill.tracing.spans import TraceContext
from threadmill_worker.attempt.attempts import Attempts, heartbeat_s
from threadmill_worker.attempt.context.contexts import Contexts
from threadmill_worker.attempt.tasks import repeat, stop
from threadmill_worker.delivery.cancellations import Cancellations
from threadmill_worker.delivery.deliveries import Deliveries
from threadmill_worker.live.publisher import EventPublisher
from threadmill_worker.maintenance.batch_lane import BatchLane
from threadmill_worker.maintenance.callbacks import Callbacks
from threadmill_worker.maintenance.heartbeats import Heartbeats
from threadmill_worker.maintenance.self_check import SelfCheck
from threadmill_worker.maintenance.sweep import Sweep
from threadmill_worker.maintenance.uploads import Uploads
from threadmill_worker.maintenance.webhooks import Webhooks
from threadmill_worker.monitoring.health import Facts
from threadmill_worker.monitoring.memory import resident_bytes
from threadmill_worker.monitoring.metrics import UNCOUNTED, Metrics
from threadmill_worker.monitoring.pulse import Pulse
from threadmill_worker.store.batch_lane import LaneStore
from threadmill_worker.store.callbacks import CallbackStore
from threadmill_worker.store.jobs import JobStore
from threadmill_worker.store.uploads import UploadStore
from threadmill_worker.store.webhooks import WebhookStore
from threadmill_worker.tools import registry

log = structlog.get_logger(__name__)

_VERSION = version("threadmill")  # reads a file

#: How often the entries of workers that have sent no heartbeat for a day are deleted, in seconds.
FORGET_S = 60.0

#: How often a worker looks for callbacks that are due, in seconds.
CALLBACKS_S = 1.0

#: After so many seconds a worker that could not read what webhooks say tries again.
WEBHOOKS_S = 1.0

#: How often the process checks itself, in seconds.
SELF_CHECK_S = 5.0


class WorkerProcess:
    """Runs jobs and the periodic steps of a worker. Create and use it inside one event loop.

    `metrics`: what counts its jobs. `heard_at`: when Celery's consumer last had a reply to its question for messages,
    by the monotonic clock; default: nobody knows.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics = UNCOUNTED,
        heard_at: Callable[[], float | None] | None = None,
    ) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._settings = settings
        self.pulse = Pulse()
        self._job_store = JobStore(settings, self.name)
        self._clock = self._job_store.clock
        self._started_at: datetime | None = None  #: by Redis' clock; None before the first heartbeat
        self._events = EventPublisher(self._job_store.publish, self._job_store.is_followed)
        self._webhook_store = WebhookStore(settings, self.name)
        tools = registry.load(settings)
        self._contexts = Contexts(settings, tools, self._job_store, self._events, self._webhook_store, metrics)
        lane_store = LaneStore(settings, self.name, self._job_store.redis, self._clock.now)
        self._attempts = Attempts(self._job_store, self._contexts, lane_store, metrics)
        self._cancellations = Cancellations(self._job_store, metrics)
        self._deliveries = Deliveries(settings, self._job_store, self._attempts, self._cancellations, metrics)
        self._runs: set[asyncio.Task[Any]] = set()
        self._heartbeats = Heartbeats(settings.lease_s)
        self._self_check = SelfCheck(settings, self._job_store, self._heartbeats, heard_at, self._is_full)
        self._sweep = Sweep(settings, self._job_store, self._contexts, self._heartbeats, metrics)
        self._lane = BatchLane(settings, lane_store, self._contexts, self._clock)
        callback_store = CallbackStore(settings, self._job_store.redis)
        self._callbacks = Callbacks(settings, callback_store, self._job_store, self._clock.now, metrics)
        upload_store = UploadStore(settings, self._job_store.redis, self._clock)
        self._uploads = Uploads(settings, upload_store, self._clock)
        webhooks = Webhooks(self._webhook_store, self._attempts, self._lane)
        self._periodic = [
            repeat(0, self.pulse.beat),
            repeat(heartbeat_s(settings), self._heartbeat),
            repeat(settings.sweep_interval_s, self._sweep.once),
            repeat(settings.sweep_interval_s, self._sweep.clean_up),
            repeat(settings.sweep_interval_s, self._lane.once),
            repeat(CALLBACKS_S, self._callbacks.once),
            repeat(settings.sweep_interval_s, self._uploads.once),
            repeat(WEBHOOKS_S, webhooks.once),
            repeat(WEBHOOKS_S, self._lane.poll_ended),
            repeat(SELF_CHECK_S, self._self_check.once),
            repeat(FORGET_S, self._job_store.forget_old_workers),
        ]

    async def clean_up(self) -> None:
        """Deletes the leftovers that are due, without waiting for the next sweep."""
        await self._sweep.clean_up()

    def log_start(self, node: str) -> None:
        """`node`: the worker's name in Celery's monitors."""
        log.info(
            "worker started",
            worker=self.name,
            node=node,
            queue=self._settings.queue,
            endpoints=self._contexts.ready,
            concurrency=self._settings.concurrency,
        )

    async def run(
        self,
        job_id: str,
        job: Mapping[str, Any] | None = None,
        *,
        expires_at: datetime | None = None,
        trace: TraceContext | None = None,
    ) -> JobResult | None:
        """Claims a job and runs it to its end. Call it in a task of its own.

        `job`: the fields of the job, if a foreign Celery client sent them. `expires_at`: the job fails if it has not
        been started by this time. `trace`: the context that the message of a foreign client has.

        Returns None if the job runs elsewhere, waits, or was handed back.
        """
        task = asyncio.current_task()
        assert task is not None
        self._runs.add(task)
        self._self_check.job_received()
        try:
            return await self._deliveries.run(job_id, job, expires_at, trace)
        finally:
            self._runs.discard(task)

    async def refuse(self, job_id: str, reason: str) -> JobResult:
        """Stores a failed result for a message that cannot become a job."""
        return await self._deliveries.refuse(job_id, reason)

    async def cancel(self, job_ids: Collection[str], *, running: bool) -> None:
        """Cancels queued jobs, and with `running` also running ones."""
        await self._cancellations.cancel(job_ids, running=running)

    async def close(self, reason: str = "") -> None:
        """Waits for calls that create something, hands all jobs back, and closes all connections."""
        log.info("worker stopping", worker=self.name, reason=reason, jobs=len(self._runs))
        self._deliveries.is_closed = True
        await self._leave()
        await self._attempts.hand_back(self._runs)
        while running := [step for step in (*self._periodic, *self._callbacks.sending) if not step.done()]:
            await stop(running, running)
        await self._contexts.close()
        await self._webhook_store.close()
        await self._job_store.close()
        log.info("worker stopped", worker=self.name, handed_back=self._attempts.handed_back)

    async def _leave(self) -> None:
        try:
            await self._job_store.leave()
        except RedisError as error:  # the number of its slots expires
            log.debug("slots not withdrawn", reason=reply_of(error))

    def _entry(self) -> Worker:
        now = self._clock.moment()
        self._started_at = self._started_at or now
        return Worker(
            name=self.name,
            seen_at=now,
            concurrency=self._settings.concurrency,
            jobs=len(self._attempts),
            endpoints=tuple(self._contexts.ready),
            started_at=self._started_at,
            version=_VERSION,
            failing_endpoints=self._attempts.failing_endpoints,
            format=FORMAT,
            left_alone=len(self._deliveries.left_alone),
            clock_skew_s=round(self._clock.skew_s, 3),
            memory_bytes=resident_bytes(),
            is_consuming=self.is_consuming,
        )

    @property
    def is_consuming(self) -> bool | None:
        """Whether Celery's consumer takes messages; None: not known."""
        return self._self_check.is_consuming

    def _is_full(self) -> bool:
        return len(self._attempts) >= self._settings.concurrency

    @property
    def slots(self) -> tuple[int, int]:
        """How many slots are busy, and how many there are."""
        return len(self._runs), self._settings.concurrency

    def facts(self) -> Facts:
        """What probes are told. Any thread can call it."""
        return Facts(
            worker=self.name,
            loop_silent_s=self.pulse.silent_s,
            redis_silent_s=self._heartbeats.silent_s,
            is_consuming=self.is_consuming,
            consumer_silent_s=self._self_check.consumer_silent_s,
            endpoints=self._contexts.ready,
            is_stopping=self._deliveries.is_closed,
        )

    async def _heartbeat(self) -> None:
        """Renews the leases of this process, offers its free slots, and updates its entry in the list of workers.

        A deaf worker offers no slot.
        """
        free = max(0, self._settings.concurrency - len(self._runs))
        is_deaf = self.is_consuming is False
        offered = None if self._deliveries.is_closed else 0 if is_deaf else free
        self._events.follow(await self._attempts.renew(offered))
        self._self_check.listen(has_free_slot=free > 0)
        await self._job_store.announce(self._entry())
        self._heartbeats.record()
