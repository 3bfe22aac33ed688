"""The event loop of a worker and its WorkerProcess, from the start of the Celery worker to its end."""

import asyncio
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Collection, Coroutine, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, NoReturn

import structlog
from billiard.einfo import ExceptionInfo
from celery.exceptions import Ignore
from celery.signals import worker_init, worker_ready, worker_shutdown, worker_shutting_down

from threadmill.errors import InvalidJob, SettingsError, StoreRefused, StoreUnavailable
from threadmill.job.result import JobResult
from threadmill.redis.errors import trouble_of
from threadmill.settings.settings import Settings
from threadmill.store.connection import Connection
from threadmill.store.rights import INFO, grant, of_worker
from threadmill.tracing import sdk
from threadmill.tracing.sdk import Tracing
from threadmill_worker.celery_app import transport
from threadmill_worker.celery_app.message import argument_of, start_limit, trace_of
from threadmill_worker.celery_app.options import refusal
from threadmill_worker.celery_app.pool import Ending
from threadmill_worker.celery_app.request import JobFailed, succeeded
from threadmill_worker.event_loop import new_event_loop
from threadmill_worker.monitoring.monitoring import Monitoring
from threadmill_worker.process import WorkerProcess
from threadmill_worker.watchdog import Watchdog

log = structlog.get_logger(__name__)

#: How long a worker waits for its child processes to end after it has handed its jobs back, in seconds.
CLOSE_S = 5.0

#: Characters of an answer that Celery's monitors show.
_SHOWN = 200


class Runtime:
    """Runs jobs in one event loop, in a thread of its own. Celery's signals start and end it."""

    def __init__(self, settings: Settings, is_supervised: bool, monitoring_socket: socket.socket | None) -> None:
        self._settings = settings
        self._is_supervised = is_supervised
        self._loop = new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="event-loop", daemon=True)
        self._watchdog = Watchdog(self._loop, self._thread, settings.blocked_limit_s)
        self._monitoring_socket = monitoring_socket
        self._process: WorkerProcess | None = None
        self._closed: Future[None] | None = None
        self._tracing = Tracing()
        worker_init.connect(self._start, weak=False)
        worker_ready.connect(self._ready, weak=False)
        worker_shutting_down.connect(self._hand_back, weak=False)
        worker_shutdown.connect(self._stop, weak=False)

    @property
    def process(self) -> WorkerProcess:
        assert self._process is not None, "it is made by worker_init"
        return self._process

    def start(self, job_id: str) -> Future[Ending]:
        """Starts a job whose message is threadmill's own."""
        return asyncio.run_coroutine_threadsafe(self._run(job_id), self._loop)

    async def _run(self, job_id: str) -> Ending:
        started_at = time.monotonic()
        try:
            result = succeeded(await self.process.run(job_id))
        except Exception as error:
            if not isinstance(error, Ignore | JobFailed):
                log.error("job not run to its end", job_id=job_id, reason=repr(error))
            return True, ExceptionInfo(), time.monotonic() - started_at
        return False, f"{result.text!r:.{_SHOWN}}", time.monotonic() - started_at

    def run(self, request: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> JobResult | None:
        """Runs a job and waits for its end. Call it in a pool thread. `request`: the request of Celery's task."""
        work: Coroutine[Any, Any, JobResult | None]
        try:
            job = argument_of(args, kwargs)
        except InvalidJob as error:
            work = self.process.refuse(request.id, str(error))
        else:
            fields = None if isinstance(job, str) else job
            trace = trace_of(request)
            work = self.process.run(request.id, fields, expires_at=start_limit(request.expires), trace=trace)
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def cancel(self, job_ids: Collection[str], running: bool) -> None:
        """Starts to cancel jobs, without waiting, since it runs in Celery's main thread."""
        asyncio.run_coroutine_threadsafe(self.process.cancel(job_ids, running=running), self._loop)

    def _start(self, sender: Any, **_: Any) -> None:
        if reason := refusal(sender, self._settings.queue):
            _end(reason)
        _end_if_redis_refuses(self._settings)
        try:
            self._tracing = sdk.start("threadmill-worker")
        except SettingsError as error:
            _end(str(error))
        # `celery worker --concurrency` overrides the settings.
        self._settings = self._settings.model_copy(update={"concurrency": sender.concurrency})
        # This executor reads files. Tools have their own threads.
        self._loop.set_default_executor(ThreadPoolExecutor(self._settings.concurrency, "blocking"))
        self._thread.start()
        try:
            monitoring = Monitoring(self._settings, self._monitoring_socket)
            self._process = asyncio.run_coroutine_threadsafe(self._open(monitoring), self._loop).result()
        except SettingsError as error:
            _end(str(error))
        monitoring.serve(self._process.facts, lambda: self.process.slots, lambda: self.process.pulse.lag_s)
        self._watchdog.start()  # only now: importing the modules of tools blocks the event loop

    async def _open(self, monitoring: Monitoring) -> WorkerProcess:
        return WorkerProcess(self._settings, monitoring.metrics, transport.heard_at)

    def _ready(self, sender: Any, **_: Any) -> None:
        """Logs the start once Celery handles signals: a script that waits for this line can then stop the worker."""
        self.process.log_start(sender.hostname)

    def _hand_back(self, sig: str, **_: Any) -> None:
        """Starts to hand the jobs back, without waiting, since it runs in a signal handler."""
        second = signal.SIG_IGN if self._is_supervised else lambda asked, _: os._exit(128 + asked)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, second)
        if self._process is not None:
            self._closed = asyncio.run_coroutine_threadsafe(self._process.close(sig), self._loop)

    def _stop(self, **_: Any) -> None:
        """Waits until all jobs were handed back, and ends the event loop."""
        if self._closed is not None:  # MCP servers that are child processes have to end too
            wait([self._closed], CLOSE_S)
        self._tracing.stop()
        self._watchdog.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)


def _end(reason: str) -> NoReturn:
    """Ends a worker that cannot start."""
    sys.stderr.write(f"threadmill: {reason}\n")
    sys.exit(2)


def _end_if_redis_refuses(settings: Settings) -> None:
    """Ends the worker if only a change of the settings helps: a wrong password, a missing right, a cluster.

    If Redis is unavailable for another reason, the worker starts and waits for it.
    """
    connection = Connection(settings)
    try:
        connection.ping()
        connection.info()
        missing = connection.missing_rights(of_worker(settings))
        if missing and missing != [INFO]:
            what = "does not permit all commands that a worker needs"
            raise StoreRefused(settings.redis_url, what, f"run `{grant(settings, missing)}`")
    except StoreRefused as error:
        trouble = trouble_of(error.__cause__)
        if trouble is None or trouble.needs_settings:
            _end(str(error))
        return
    except StoreUnavailable:
        return
    if missing:
        log.warning(
            "Redis does not permit INFO",
            effect="after a restart of Redis, jobs of living workers may be rescued",
            remedy=grant(settings, missing),
        )
