"""One worker process: its name, its servers, the jobs it has in hand. All of it lives in one event loop."""

import asyncio
import itertools
import os
import socket
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import structlog

from threadmill.errors import InvalidJob
from threadmill.job import Failure, FailureKind, JobRecord, JobResult, JobState, PromptJob, Timings, Worker
from threadmill.settings import Settings
from threadmill_worker import functions
from threadmill_worker.ledger import LeaseLost, Ledger
from threadmill_worker.retry import REDIS_AWAY
from threadmill_worker.runner import Attempt
from threadmill_worker.servers import NotServed, Servers

log = structlog.get_logger(__name__)

#: How often leases are renewed and wishes to cancel are noticed, in seconds; sooner if leases are short.
HEARTBEAT_S = 1.0

_BEATS_BETWEEN_CLEANINGS = 600


class ShuttingDown(Exception):
    """The process takes no more jobs; the message belongs back on the queue."""


class WorkerProcess:
    """Runs the jobs whose ids it is given. Build and use it inside one event loop.

    `requeue(job_id)` puts a job that is handed back on the queue again; it is called in a thread.
    """

    def __init__(self, settings: Settings, requeue: Callable[[str], None]) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._settings = settings
        self._requeue = requeue
        self._ledger = Ledger(settings, self.name)
        self._servers = Servers(settings, functions.load(settings.tools))
        self._attempts: dict[str, Attempt] = {}
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._closing = False
        self._heartbeat = asyncio.create_task(self._beat(), name="heartbeat")

    async def run(self, job_id: str, job: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """Claims the job and sees it through. `job`: its fields, when a foreign client sent them along.

        Gives the result, as Celery's backend keeps it; None if the job is elsewhere or was handed back.
        Raises ShuttingDown.
        """
        if self._closing:
            raise ShuttingDown(job_id)
        if job is not None:
            try:
                await self._ledger.create(job_id, _foreign(job))
            except InvalidJob as error:
                return _refused(job_id, str(error)).model_dump(mode="json")
        record = await self._ledger.claim(job_id)
        if record is None:
            log.info("stepped back", job_id=job_id, reason="it has ended, is gone, or another worker holds it")
            return await self._ledger.result(job_id)
        try:
            result = await self._see_through(record)
        except LeaseLost:
            log.warning("lease lost", job_id=job_id)
            return None
        except asyncio.CancelledError:
            await self._hand_back(job_id)
            return None
        return result.model_dump(mode="json")

    async def close(self) -> None:
        """Hands every job back as it stands and lets go of all connections."""
        self._closing = True
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._heartbeat.cancel()
        await self._servers.close()
        await self._ledger.close()

    async def _see_through(self, record: JobRecord) -> JobResult:
        try:
            server = self._servers.serve(record)
        except NotServed as error:
            result = JobResult(
                job_id=record.id,
                state=JobState.FAILED,
                failure=error.failure,
                attempts=record.attempts,
                timings=Timings(
                    created_at=record.created_at, started_at=record.started_at, finished_at=datetime.now(UTC)
                ),
                metadata=record.job.metadata,
                batch=record.job.batch,
            )
            await self._ledger.finish(result, (), record.job.endpoint or "")
            return result
        attempt = Attempt(record, server, self._ledger)
        task = asyncio.create_task(attempt.see_through(), name=record.id)
        self._attempts[record.id], self._tasks[record.id] = attempt, task
        try:
            return await task
        finally:
            del self._attempts[record.id], self._tasks[record.id]

    async def _hand_back(self, job_id: str) -> None:
        if await self._ledger.hand_back(job_id):
            await asyncio.to_thread(self._requeue, job_id)
            log.info("job handed back", job_id=job_id)

    def _card(self) -> Worker:
        return Worker(
            name=self.name,
            seen_at=datetime.now(UTC),
            concurrency=self._settings.concurrency,
            jobs=len(self._attempts),
            endpoints=tuple(self._servers.ready),
        )

    async def _beat(self) -> None:
        """Keeps our leases, notices cancelled jobs and lost leases, and tells producers that we live."""
        for beat in itertools.count():
            try:
                if beat % _BEATS_BETWEEN_CLEANINGS == 0:
                    await self._ledger.forget_old_workers()
                await self._ledger.announce(self._card())
                for job_id, news in (await self._ledger.renew(self._attempts)).items():
                    if news == "cancel" and job_id in self._attempts:
                        self._attempts[job_id].cancel()
                    elif job_id in self._tasks:
                        self._tasks[job_id].cancel()
            except REDIS_AWAY as error:
                log.warning("Redis is away", reason=str(error))
            await asyncio.sleep(min(HEARTBEAT_S, self._settings.lease_s / 3))


def _foreign(job: Mapping[str, Any]) -> PromptJob:
    parsed = PromptJob.parse(job)
    if parsed.key is not None:
        raise InvalidJob("`key`: in a plain Celery message the task id is the idempotency key; set that instead")
    return parsed


def _refused(job_id: str, reason: str) -> JobResult:
    """The result of a message that never became a job."""
    now = datetime.now(UTC)
    return JobResult(
        job_id=job_id,
        state=JobState.FAILED,
        failure=Failure(kind=FailureKind.REJECTED, message=reason),
        timings=Timings(created_at=now, finished_at=now),
    )
