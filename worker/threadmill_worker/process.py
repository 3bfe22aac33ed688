"""One worker process: its name, its servers, the jobs it has in hand. All of it lives in one event loop."""

import asyncio
import os
import socket
import time
import traceback
import uuid
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import structlog
from redis.exceptions import RedisError

from threadmill.errors import InvalidJob, UnreadableRecord
from threadmill.job import PromptJob
from threadmill.names import JOB_ID_RULE, is_job_id
from threadmill.record import JobRecord, Outage, Worker
from threadmill.result import Failure, FailureKind, JobResult, JobState
from threadmill.settings import Settings
from threadmill_worker import toolset
from threadmill_worker.actions import LANDING_S
from threadmill_worker.lane import Lane
from threadmill_worker.ledger import LeaseLost, Ledger, NoSuchJob
from threadmill_worker.live import Live
from threadmill_worker.parking import Parking
from threadmill_worker.retry import REDIS_AWAY
from threadmill_worker.runner import Attempt, end_of
from threadmill_worker.servers import NotServed, Servers
from threadmill_worker.sweep import Sweep
from threadmill_worker.watchdog import give_up

log = structlog.get_logger(__name__)

#: How often leases are renewed and wishes to cancel are noticed, in seconds; sooner if leases are short.
HEARTBEAT_S = 1.0

#: How often the process looks at itself, in seconds.
WATCH_S = 5.0


class WorkerProcess:
    """Runs the jobs whose ids it is given. Build and use it inside one event loop.

    `send(job_id)` puts a message for a job on the queue; it is called in a thread.
    """

    def __init__(self, settings: Settings, send: Callable[[str], None]) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.handed_back: list[str] = []  #: jobs that are queued again and need a new message
        self._settings = settings
        self._started_at = datetime.now(UTC)
        self._ledger = Ledger(settings, self.name, send)
        self._live = Live(self._ledger.publish)
        self._servers = Servers(settings, toolset.load(settings), self._ledger, self._live)
        self._parking = Parking(settings, self.name, self._ledger.redis)
        self._attempts: dict[str, Attempt] = {}
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._runs: set[asyncio.Future[Any]] = set()
        self._sweep = Sweep(settings, self._ledger, self._servers, send)
        self._lane = Lane(settings, self._parking, self._servers, send)
        self._closing = False
        self._last_beat = self._last_job = time.monotonic()
        self._beats = [
            asyncio.create_task(self._repeat(min(HEARTBEAT_S, settings.lease_s / 3), self._beat), name="heartbeat"),
            asyncio.create_task(self._repeat(settings.sweep_s, self._sweep.once), name="sweep"),
            asyncio.create_task(self._repeat(settings.sweep_s, self._sweep.tidy), name="tidying"),
            asyncio.create_task(self._repeat(settings.sweep_s, self._lane.once), name="batch lane"),
            asyncio.create_task(self._repeat(WATCH_S, self._watch), name="watch"),
            asyncio.create_task(self._repeat(60 * HEARTBEAT_S, self._ledger.forget_old_workers), name="cleaning"),
        ]

    def log_start(self, node: str) -> None:
        """`node`: the name by which Celery's monitors know it."""
        log.info(
            "worker started",
            worker=self.name,
            node=node,
            queue=self._settings.queue,
            endpoints=self._servers.ready,
            concurrency=self._settings.concurrency,
        )

    async def run(self, job_id: str, job: Mapping[str, Any] | None, *, is_late: bool = False) -> dict[str, Any] | None:
        """Claims the job and drives it to its end. `job`: its fields, when a foreign client sent them along.

        Returns the result, as Celery's backend keeps it; None if the job is elsewhere or was handed back.
        `is_late`: its sender did not want it to begin after a moment that has passed.
        """
        running = asyncio.ensure_future(self._run(job_id, job, is_late))
        self._runs.add(running)
        running.add_done_callback(self._runs.discard)
        return await running

    async def _run(self, job_id: str, job: Mapping[str, Any] | None, is_late: bool) -> dict[str, Any] | None:
        self._last_job = time.monotonic()
        if not is_job_id(job_id):
            return await self.refuse(job_id, f"{job_id!r:.100} is not a job id: {JOB_ID_RULE}")
        if job is not None:
            try:
                await self._ledger.create(job_id, _foreign(job))
            except InvalidJob as error:
                return await self.refuse(job_id, str(error))
            if await self._ledger.was_revoked(job_id):
                await self._cancel(job_id, running=False)
        if self._closing:
            self.handed_back.append(job_id)
            return None
        try:
            record = await self._ledger.claim(job_id)
        except NoSuchJob:
            return await self.refuse(job_id, "there is no record of it; send the fields of a job, {'prompt': ...}")
        except UnreadableRecord as error:
            result = await self._fail_unread(job_id, Failure(kind=FailureKind.UNREADABLE, message=error.reason))
            return result.model_dump(mode="json") if result else None
        if record is None:
            log.debug("delivery ignored", job_id=job_id, reason="it has ended, waits for its turn, or runs elsewhere")
            return await self._ledger.result(job_id)
        try:
            result = await (self._fail_late(record) if is_late else self._see_through(record))
        except LeaseLost:
            log.warning("lease lost", job_id=job_id)
            return None
        except asyncio.CancelledError:
            await self._hand_back(job_id)
            return None
        except (*REDIS_AWAY, RedisError):
            raise  # not the job's fault: its lease lapses, and the sweep sends it again
        except Exception as error:
            log.exception("attempt failed unexpectedly", job_id=job_id, attempt=record.attempts)
            result = await self._fail_unexpected(job_id, error)
        return result.model_dump(mode="json") if result else None

    async def refuse(self, job_id: str, reason: str) -> dict[str, Any]:
        """Gives a message that never became a job a failed result, for whoever waits for it in Celery's backend."""
        log.warning("job refused", job_id=job_id, reason=reason)
        result = _without_record(job_id, JobState.FAILED, Failure(kind=FailureKind.REJECTED, message=reason))
        await self._ledger.refuse(result)
        return result.model_dump(mode="json")

    async def cancel(self, job_ids: Collection[str], *, running: bool) -> None:
        """Cancels those that are queued, and with `running` those that run; those unknown when they are delivered.

        Celery's remote control calls it, in every worker: repetition does no harm. An unknown id may be a task of
        somebody else's.
        """
        ids = [job_id for job_id in job_ids if is_job_id(job_id)]  # no job of ours has another
        try:
            unknown = [job_id for job_id in ids if not await self._cancel(job_id, running)]
            if unknown:
                on_queue = {job_id async for job_id in self._ledger.messages()}
                for job_id in unknown:
                    await self._ledger.revoke(job_id)
                    if job_id in on_queue:
                        await self._ledger.refuse(_without_record(job_id, JobState.CANCELLED, _CANCELLED))
                    await self._cancel(job_id, running)  # if it was delivered in between
        except REDIS_AWAY as error:
            log.warning("jobs not cancelled", jobs=sorted(job_ids), reason=str(error))

    async def _cancel(self, job_id: str, running: bool) -> bool:
        """Whether there is such a job."""
        record = await self._ledger.get(job_id)
        if record is None:
            return False
        if record.state is JobState.QUEUED:
            try:
                result = await self._ledger.cancel_queued(record, _CANCELLED)
            except LeaseLost:
                pass  # it runs now, or has ended
            else:
                log.info("job finished", job_id=job_id, **end_of(result))
                return True
        if running:
            await self._ledger.request_cancel(job_id)
        return True

    async def _fail_late(self, record: JobRecord) -> JobResult | None:
        """Of a job that was begun before, the sender's wish is fulfilled."""
        if record.attempts > 1 or record.progress is not None:
            return await self._see_through(record)
        message = "its message expired before a worker took it; raise `expires`, or start more workers"
        return await self._fail(record, Failure(kind=FailureKind.OVERDUE, message=message, retryable=True))

    async def _fail_unexpected(self, job_id: str, error: Exception) -> JobResult | None:
        """Ends a job of ours at once: a repetition would most likely run into the same. None: it has ended."""
        failure = Failure(kind=FailureKind.INTERNAL_ERROR, message=_where(error))
        try:
            record = await self._ledger.get(job_id)  # with what the attempt has saved
            return await self._fail(record, failure) if record else None
        except LeaseLost:
            log.warning("lease lost", job_id=job_id)
            return None
        except (UnreadableRecord, ValueError, LookupError, TypeError):  # what it has saved is the fault
            return await self._fail_unread(job_id, failure)

    async def _fail_unread(self, job_id: str, failure: Failure) -> JobResult | None:
        """Ends a job of ours without a look at its record. None: it is not ours any more."""
        result = _without_record(job_id, JobState.FAILED, failure)
        try:
            await self._ledger.finish(result, (), "")
        except LeaseLost:
            log.warning("lease lost", job_id=job_id)
            return None
        log.error("job finished", job_id=job_id, **end_of(result))
        return result

    async def _fail(self, record: JobRecord, failure: Failure) -> JobResult:
        result = await self._ledger.fail(record, failure)
        log.info("job finished", job_id=record.id, attempt=record.attempts, **end_of(result))
        return result

    async def close(self, reason: str = "") -> None:
        """Hands every job back as it stands, replies under way included, and lets go of all connections."""
        log.info("worker stopping", worker=self.name, reason=reason, jobs=len(self._runs))
        self._closing = True
        late_at = time.monotonic() + LANDING_S
        while self._runs:  # a run that has ended has handed its job back
            is_late = time.monotonic() > late_at
            await _cancel([task for job_id, task in self._tasks.items() if self._leaves(job_id) or is_late], self._runs)
        while beats := [beat for beat in self._beats if not beat.done()]:
            await _cancel(beats, beats)
        await self._servers.close()
        await self._ledger.close()
        log.info("worker stopped", worker=self.name, handed_back=len(self.handed_back))

    def _leaves(self, job_id: str) -> bool:
        """Whether the job can be stopped now; else a call of its own is under way whose reply we await."""
        attempt = self._attempts.get(job_id)
        return attempt is None or attempt.leave()

    async def _see_through(self, record: JobRecord) -> JobResult | None:
        task = asyncio.create_task(self._attempt(record), name=record.id)
        self._tasks[record.id] = task
        try:
            return await task
        finally:
            del self._tasks[record.id]
            self._attempts.pop(record.id, None)

    async def _attempt(self, record: JobRecord) -> JobResult | None:
        """None: it waits in the batch lane now, which a job with a place of its own has behind it."""
        try:
            server = await self._servers.serve(record)
        except NotServed as error:
            return await self._fail(record, error.failure)
        if server.lane is not None and record.progress is None:
            await server.feed.close()
            await self._parking.park(record.id, server.lane)
            return None
        log.info("job claimed", job_id=record.id, attempt=record.attempts, endpoint=server.name)
        self._attempts[record.id] = attempt = Attempt(record, server, self._ledger)
        return await attempt.see_through()

    async def _hand_back(self, job_id: str) -> None:
        try:
            if await self._ledger.hand_back(job_id):
                self.handed_back.append(job_id)
                log.info("job handed back", job_id=job_id)
        except REDIS_AWAY as error:
            log.warning("job not handed back: its lease will lapse", job_id=job_id, reason=str(error))

    def _card(self) -> Worker:
        return Worker(
            name=self.name,
            seen_at=datetime.now(UTC),
            concurrency=self._settings.concurrency,
            jobs=len(self._tasks),
            endpoints=tuple(self._servers.ready),
            started_at=self._started_at,
            version=version("threadmill"),
            unreachable=self._outages(),
        )

    def _outages(self) -> tuple[Outage, ...]:
        """The endpoints that cannot be reached, each with the outage that began first."""
        found = [attempt.outage for attempt in self._attempts.values() if attempt.outage is not None]
        first = {outage.endpoint: outage for outage in sorted(found, key=lambda each: each.since, reverse=True)}
        return tuple(first.values())

    async def _beat(self) -> None:
        """Keeps our leases, notices cancelled and followed jobs and lost leases, and tells producers that we live."""
        told = await self._ledger.renew(self._tasks)
        self._live.follow(job_id for job_id, news in told.items() if news == "followed")
        for job_id, news in told.items():
            if news == "lost" and job_id in self._tasks:
                self._tasks[job_id].cancel()
            elif (
                news == "cancel" and job_id in self._attempts
            ):  # else it is being made ready: the next beat tells again
                self._attempts[job_id].cancel()
        await self._ledger.announce(self._card())
        self._last_beat = time.monotonic()

    async def _watch(self) -> None:
        """A worker that cannot work ends itself, so that its supervisor starts a fresh one."""
        now = time.monotonic()
        if now - self._last_beat > self._settings.redis_patience_s:
            give_up(f"Redis has been away for {now - self._last_beat:.0f} s")
        if len(self._tasks) >= self._settings.concurrency or not await self._ledger.waiting():
            self._last_job = now  # no room, or nothing to do: no reason to get jobs
        elif now - self._last_job > self._settings.stall_s:
            give_up(f"jobs are waiting, but Celery has brought none for {now - self._last_job:.0f} s")

    async def _repeat(self, every_s: float, step: Callable[[], Awaitable[None]]) -> None:
        """For as long as the process lives, whatever a step runs into."""
        while True:
            try:
                await step()
            except REDIS_AWAY as error:
                log.warning("Redis is away", reason=str(error))
            except Exception:
                log.exception("a periodic step failed", step=step.__qualname__)
            await asyncio.sleep(every_s)


async def _cancel(tasks: Iterable[asyncio.Task[Any]], awaited: Collection[asyncio.Future[Any]]) -> None:
    """To be repeated: under Python 3.11 redis-py swallows a cancellation now and then."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(awaited, timeout=0.1)


_CANCELLED = Failure(kind=FailureKind.CANCELLED, message="cancelled while it was queued", retryable=True)


def _without_record(job_id: str, state: JobState, failure: Failure) -> JobResult:
    return JobResult.without_record(job_id, state, failure, datetime.now(UTC))


def _where(error: Exception) -> str:
    """The kind of an exception and the line that raised it. Its text may hold a secret, and is left out."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(frame.filename).name}:{frame.lineno}"
    return f"unexpected {type(error).__name__} at {place} in the worker; its log has the traceback"


def _foreign(job: Mapping[str, Any]) -> PromptJob:
    parsed = PromptJob.parse(job)
    if parsed.key is not None:
        raise InvalidJob("`key`: in a plain Celery message the task id is the idempotency key; set that instead")
    return parsed
