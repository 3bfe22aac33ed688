"""Celery wiring only: a message arrives in a pool thread, which hands it to the event loop and waits.

One thread waits for each job in flight; the jobs themselves live together in one event loop.
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any

from celery import Celery, Task
from celery.concurrency.thread import TaskPool as ThreadPool
from celery.exceptions import Ignore
from celery.signals import setup_logging, worker_init, worker_shutdown, worker_shutting_down

from threadmill.connection import Connection
from threadmill.errors import SettingsError, StoreRefused, StoreUnavailable
from threadmill.queue import TASK, make_app, send
from threadmill.settings import Settings
from threadmill_worker import log
from threadmill_worker.process import WorkerProcess

#: How long a worker that has handed its jobs back waits for its child processes to end, in seconds.
CLOSE_S = 5.0


def make_worker_app(settings: Settings) -> Celery:
    """The Celery app of a worker, with the task and its process behind it. At most one per Python process."""
    app = make_app(settings)
    app.conf.worker_consumer = "threadmill_worker.consumer:Consumer"
    shell = _Shell(app, settings)

    @app.task(name=TASK, bind=True, typing=False)  # type: ignore[untyped-decorator]
    def run_job(task: Task, job: str | Mapping[str, Any]) -> dict[str, Any]:
        """`job`: an id from our own client; a job's fields from any other, whose task id becomes the job's."""
        result = shell.run(task.request.id, None if isinstance(job, str) else job)
        if result is None:  # Celery must store nothing: another delivery of the job will bring its result
            raise Ignore()
        return result

    return app


def _end_if_redis_refuses(settings: Settings) -> None:
    """Ends the worker if waiting for Redis cannot help: a wrong password or database. It waits for an absent one."""
    try:
        Connection(settings).ping()
    except StoreRefused as error:
        sys.stderr.write(f"threadmill: {error}\n")
        sys.exit(2)
    except StoreUnavailable:
        pass


class _Shell:
    """The event loop and the WorkerProcess in it, from the Celery worker's start to its end."""

    def __init__(self, app: Celery, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="event-loop", daemon=True)
        self._process: WorkerProcess | None = None
        self._closing = False
        self._closed: Future[None] | None = None
        setup_logging.connect(self._set_up_logging, weak=False)
        worker_init.connect(self._start, weak=False)
        worker_shutting_down.connect(self._hand_back, weak=False)
        worker_shutdown.connect(self._stop, weak=False)

    def run(self, job_id: str, job: Mapping[str, Any] | None) -> dict[str, Any] | None:
        assert self._process is not None
        return asyncio.run_coroutine_threadsafe(self._process.run(job_id, job), self._loop).result()

    def _set_up_logging(self, loglevel: int | str | None = None, **_: Any) -> None:
        log.configure(loglevel or "INFO")

    def _start(self, sender: Any, **_: Any) -> None:
        if not issubclass(sender.pool_cls, ThreadPool):
            sys.exit("threadmill needs Celery's threads pool: leave --pool out, or give --pool threads")
        _end_if_redis_refuses(self._settings)
        if isinstance(sender.concurrency, int):  # what `celery worker --concurrency` says wins
            self._settings = self._settings.model_copy(update={"concurrency": sender.concurrency})
        # Tools that block run in these: no fewer than there are jobs at a time.
        self._loop.set_default_executor(ThreadPoolExecutor(self._settings.concurrency, "blocking"))
        self._thread.start()
        try:
            self._process = asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()
        except SettingsError as error:
            sys.exit(f"threadmill: {error}")

    async def _open(self) -> WorkerProcess:
        return WorkerProcess(self._settings, send=partial(send, self._app))

    def _hand_back(self, **_: Any) -> None:
        """Runs in the signal handler: only starts it, so that the pool's threads come free by themselves."""
        self._closing = True
        for number in (signal.SIGTERM, signal.SIGINT):  # asked twice: at once, in place of Celery's own handlers
            signal.signal(number, lambda asked, _: os._exit(128 + asked))
        if self._process is not None:
            self._closed = asyncio.run_coroutine_threadsafe(self._process.close(), self._loop)

    def _stop(self, sender: Any, **_: Any) -> None:
        """Celery consumes no more: what is sent now does not come back to us."""
        if self._closing:
            sender.exitcode = 0  # Celery's is 1 after Ctrl-C
        for job_id in self._process.handed_back if self._process else ():
            send(self._app, job_id)
        if self._closed is not None:  # servers of tools that are child processes are to end with us
            wait([self._closed], CLOSE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
