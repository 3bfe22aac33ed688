"""Celery wiring only: a message arrives in a pool thread, which hands it to the event loop and waits.

One thread waits for each job in flight; the jobs themselves live together in one event loop.
"""

import asyncio
import os
import signal
import socket
import sys
import threading
import uuid
from collections.abc import Collection, Coroutine, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from functools import partial
from typing import Any, NoReturn

import structlog
from celery import Celery, Task
from celery.exceptions import Ignore
from celery.signals import worker_init, worker_ready, worker_shutdown, worker_shutting_down
from celery.utils.nodenames import nodename

from threadmill.celery_worker import Worker
from threadmill.errors import InvalidJob, SettingsError, StoreRefused, StoreUnavailable
from threadmill.job.result import JobState
from threadmill.queue import TASK, make_app, send
from threadmill.redis.errors import trouble_of
from threadmill.settings.settings import Settings
from threadmill.store.connection import Connection
from threadmill.store.rights import INFO, grant, of_worker
from threadmill_worker.celery_app import control, transport
from threadmill_worker.celery_app.options import refusal
from threadmill_worker.celery_app.request import JobCancelled, JobFailed, result_backend
from threadmill_worker.process import WorkerProcess
from threadmill_worker.watchdog import Watchdog

log = structlog.get_logger(__name__)

#: How long a worker that has handed its jobs back waits for its child processes to end, in seconds.
CLOSE_S = 5.0

#: What a message must look like, for whoever sent another one.
_RIGHT_CALL = f'send one job: send_task("{TASK}", args=[{{"prompt": "..."}}]), or kwargs={{"job": {{"prompt": "..."}}}}'


def make_worker_app(settings: Settings) -> Celery:
    """The Celery app of a worker, with the task and its process behind it. At most one per Python process."""
    transport.install()
    app = make_app(settings)
    app.conf.update(
        broker_transport=None,  # that of the URL's scheme, which is ours
        result_backend=result_backend(app.conf.result_backend),
        worker_consumer="threadmill_worker.celery_app.consumer:Consumer",
        broker_transport_options=app.conf.broker_transport_options | transport.options(settings),
        worker_send_task_events=True,  # so that monitors show jobs without asking workers to send them
    )
    app.Worker = app.subclass_with_self(_Worker, name="Worker")
    shell = _Shell(app, settings)
    control.cancel_by(shell.cancel)

    @app.task(  # type: ignore[untyped-decorator]
        name=TASK,
        bind=True,
        typing=False,
        throws=(JobFailed,),
        store_errors_even_if_ignored=True,  # for the tasks chained after a job; a job's own are ResultBackend's affair
        Request="threadmill_worker.celery_app.request:Request",
    )
    def run_job(task: Task, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """One argument, also by the name `job`: an id from our own client; a job's fields from any other.

        The task id is the job's id. Raises what Celery is to know of the end of a job that did not succeed.
        """
        result = shell.run(task.request, args, kwargs)
        if result is None:  # it is elsewhere, or was handed back: another delivery brings its result
            raise Ignore()
        if result["state"] == JobState.CANCELLED:
            raise JobCancelled(result["failure"]["message"])
        if result["state"] == JobState.FAILED:
            raise JobFailed("{kind}: {message}".format_map(result["failure"]))
        return result

    return app


def _end(reason: str) -> NoReturn:
    """Ends a worker that cannot be started as it was meant to be."""
    sys.stderr.write(f"threadmill: {reason}\n")
    sys.exit(2)


def _end_if_redis_refuses(settings: Settings) -> None:
    """Ends the worker if waiting for Redis cannot help: a wrong password, a missing right, a cluster.

    In any other state of Redis it waits.
    """
    connection = Connection(settings)
    try:
        connection.ping()
        connection.info()
        missing = connection.missing_rights(of_worker(settings))
        if missing and missing != [INFO]:
            what = "does not permit all that a worker needs"
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
            effect="after a restart of Redis, jobs may be taken from workers that are alive",
            remedy=grant(settings, missing),
        )


def _argument(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | Mapping[str, Any]:
    """The one argument of a call; raises InvalidJob, which shows the right call."""
    match [*args, *kwargs.values()]:
        case [str() | Mapping() as job] if kwargs.keys() <= {"job"}:
            return job
    given = ", ".join([*(type(each).__name__ for each in args), *(f"{name}=" for name in kwargs)]) or "nothing"
    raise InvalidJob(f"the task takes one argument, a job's fields, and was given {given}; {_RIGHT_CALL}")


def _moment(expires: str | None) -> datetime | None:
    """Until when the sender wants the job to begin; None: any time."""
    if expires is None:
        return None
    moment = datetime.fromisoformat(expires)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class _Worker(Worker):
    def default_hostname(self) -> str:
        """One of its own, or monitors would take two workers of a machine for one."""
        return str(nodename(f"threadmill-{uuid.uuid4().hex[:8]}", socket.gethostname()))


class _Shell:
    """The event loop and the WorkerProcess in it, from the Celery worker's start to its end."""

    def __init__(self, app: Celery, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="event-loop", daemon=True)
        self._watchdog = Watchdog(self._loop, self._thread, settings.blocked_limit_s)
        self._process: WorkerProcess | None = None
        self._closed: Future[None] | None = None
        worker_init.connect(self._start, weak=False)
        worker_ready.connect(self._ready, weak=False)
        worker_shutting_down.connect(self._hand_back, weak=False)
        worker_shutdown.connect(self._stop, weak=False)

    @property
    def process(self) -> WorkerProcess:
        assert self._process is not None, "worker_init makes it"
        return self._process

    def run(self, request: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
        """Waits for the end of the job in a pool thread. `request`: of Celery's task."""
        work: Coroutine[Any, Any, dict[str, Any] | None]
        try:
            job = _argument(args, kwargs)
        except InvalidJob as error:
            work = self.process.refuse(request.id, str(error))
        else:
            fields = None if isinstance(job, str) else job
            work = self.process.run(request.id, fields, expires_at=_moment(request.expires))
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def cancel(self, job_ids: Collection[str], running: bool) -> None:
        """Does not wait: Celery's own thread calls it."""
        asyncio.run_coroutine_threadsafe(self.process.cancel(job_ids, running=running), self._loop)

    def _start(self, sender: Any, **_: Any) -> None:
        if reason := refusal(sender, self._settings.queue):
            _end(reason)
        _end_if_redis_refuses(self._settings)
        # What `celery worker --concurrency` says wins.
        self._settings = self._settings.model_copy(update={"concurrency": sender.concurrency})
        # For files and for sending to the queue; tools have threads of their own.
        self._loop.set_default_executor(ThreadPoolExecutor(self._settings.concurrency, "blocking"))
        self._thread.start()
        try:
            self._process = asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()
        except SettingsError as error:
            _end(str(error))
        self._watchdog.start()  # not before: the modules of tools are imported in the event loop

    async def _open(self) -> WorkerProcess:
        return WorkerProcess(self._settings, send=partial(send, self._app))

    def _ready(self, sender: Any, **_: Any) -> None:
        """Celery consumes now, and handles signals: what waits for this line may stop the worker."""
        self.process.log_start(sender.hostname)

    def _hand_back(self, sig: str, **_: Any) -> None:
        """Runs in the signal handler: only starts it, so that the pool's threads come free by themselves."""
        for number in (signal.SIGTERM, signal.SIGINT):  # asked twice: at once, in place of Celery's own handlers
            signal.signal(number, lambda asked, _: os._exit(128 + asked))
        if self._process is not None:
            self._closed = asyncio.run_coroutine_threadsafe(self._process.close(sig), self._loop)

    def _stop(self, **_: Any) -> None:
        """Celery consumes no more: what is sent now does not come back to us."""
        for job_id in self._process.handed_back if self._process else ():
            try:
                send(self._app, job_id)
            except Exception as error:  # whatever Redis or kombu says: the jobs are queued
                log.warning("jobs not sent again", reason=str(error), remedy="the sweep of another worker sends them")
                break
        if self._closed is not None:  # servers of tools that are child processes are to end with us
            wait([self._closed], CLOSE_S)
        self._watchdog.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
