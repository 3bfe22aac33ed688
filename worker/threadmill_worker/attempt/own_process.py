"""Runs a job in a separate process, after two workers in a row have ended while they ran it.

If the job causes this, only its own process ends, and no other job is interrupted.
"""

import asyncio
import json
import logging
import os
import signal
import sys
from contextlib import suppress

import structlog

from threadmill.job.result import JobResult
from threadmill.settings.settings import Settings
from threadmill.store.records.job import JobRecord
from threadmill.store.records.worker import FailingEndpoint
from threadmill_worker.attempt.attempts import Attempts
from threadmill_worker.attempt.failures import exhausted
from threadmill_worker.store.jobs import JobStore, Lease

log = structlog.get_logger(__name__)

#: How many such processes a worker has at a time. Each takes about 100 MB; further jobs wait for one to end.
PROCESSES = 4

#: Exit codes of a process that has handed its job back, and of one that lost Redis for too long. The job's state is
#: read from its record, because a tool of the job may end the process with any code.
HANDED_BACK = 73
REDIS_WAS_AWAY = 74

#: -P: modules are looked for where the worker looks (PYTHONPATH), not in the working directory as well.
_COMMAND = (sys.executable, "-P", "-m", "threadmill_worker.attempt.single_job")


class OwnProcesses:
    """The processes of a worker that run one job each."""

    def __init__(self, settings: Settings, job_store: JobStore, attempts: Attempts) -> None:
        self._settings = settings
        self._job_store = job_store
        self._attempts = attempts
        self._free = asyncio.Semaphore(PROCESSES)

    async def execute(self, lease: Lease, record: JobRecord) -> JobResult | None:
        """Runs a claimed job to its end; None if it was handed back. Raises LeaseLost.

        A process that ends before its job is replaced, until the job has lost `max_attempts` processes in a row,
        workers included.
        """
        attempt = _OwnProcess()
        self._attempts.register(lease, attempt)
        async with self._free:
            log.info("job runs in a process of its own", job_id=record.id, interruptions=record.interruptions)
            while True:
                code = await attempt.run(lease, self._settings)
                if code == HANDED_BACK:
                    return None
                current = await self._job_store.get(record.id)
                if current is None or current.result is not None:
                    return current.result if current else None
                if code == REDIS_WAS_AWAY:
                    continue  # it does not count as lost: the job is not the cause
                interruptions = await self._job_store.count_interruption(lease)
                log.warning("process of a job ended", job_id=record.id, exit_code=code, interruptions=interruptions)
                if interruptions >= self._settings.max_attempts:
                    return await self._attempts.fail(lease, current, exhausted(interruptions, _end(code)))


class _OwnProcess:
    """An attempt that runs in a child process."""

    failing_endpoint: FailingEndpoint | None = None  # known to the child only
    calls: int | None = None

    def __init__(self) -> None:
        self._child: asyncio.subprocess.Process | None = None

    @property
    def in_child(self) -> bool:
        return self._child is not None

    def cancel(self) -> None:
        """Does nothing: the child renews the lease too, and so receives the request."""

    def run_ended(self, run_id: str) -> None:
        """Does nothing: the child polls as without webhooks."""

    def left_pool(self) -> None:
        """Returns None: the child tells it."""

    def leave(self) -> bool:
        if self._child is None:
            return True
        self._child.stdin.close()  # type: ignore[union-attr]  # the child hands its job back
        return False

    async def run(self, lease: Lease, settings: Settings) -> int:
        """Runs the child and returns its exit code. If this call is cancelled, the child is killed."""
        request = {
            "settings": settings.model_dump(mode="json"),
            "job_id": lease.job_id,
            "owner": lease.owner,
            "log_level": logging.getLogger().getEffectiveLevel(),
        }
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        self._child = child = await asyncio.create_subprocess_exec(
            *_COMMAND, stdin=asyncio.subprocess.PIPE, env=environment, start_new_session=True
        )
        assert child.stdin is not None
        try:
            child.stdin.write(json.dumps(request).encode() + b"\n")  # not as arguments: it includes the Redis password
            return await child.wait()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)  # also kills the processes that it started
            await child.wait()
            self._child = None


def _end(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
