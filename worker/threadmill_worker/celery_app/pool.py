"""Celery's thread pool, which starts the jobs of threadmill's own messages in the event loop, without a thread.

Such a message names a job and has no callbacks, so nothing of Celery's tracing is needed. A message of another Celery
client runs in a thread, as Celery runs it.
"""

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

from celery.concurrency.thread import TaskPool as ThreadPool

from threadmill.queue import is_own

#: Starts the job of this id; the future says how its delivery ended, as Celery's tracing does: whether it failed, the
#: value or an ExceptionInfo, and the seconds that it took.
Start: TypeAlias = Callable[[str], "Future[Ending]"]
Ending: TypeAlias = tuple[bool, Any, float]

_start: Start | None = None


def start_by(start: Start) -> None:
    """Sets what starts the jobs of this process."""
    global _start
    _start = start


class JobPool(ThreadPool):  # type: ignore[misc]
    """For Celery's setting `worker_pool`. Celery's own thread calls all callbacks."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._running: set[Future[Ending]] = set()
        self._ended: SimpleQueue[tuple[Callable[[Ending], None], Future[Ending]]] = SimpleQueue()
        self._has_loop = False
        self._awake, self._wake = os.pipe()
        os.set_blocking(self._awake, False)
        os.set_blocking(self._wake, False)

    def register_with_event_loop(self, loop: Any) -> None:
        """Lets Celery's loop notice ended jobs. Celery calls this with each new connection."""
        loop.add_reader(self._awake, self._report_ended)
        self._has_loop = True

    def on_apply(
        self,
        target: Callable[..., Any],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        callback: Callable[[Ending], None] | None = None,
        accept_callback: Callable[[int, float], None] | None = None,
        **options: Any,
    ) -> Any:
        """Starts a task. `args`: its class, its id, its message's headers, ..."""
        if not self._starts(args) or _start is None or callback is None or accept_callback is None:
            return super().on_apply(target, args, kwargs, callback, accept_callback, **options)
        accept_callback(os.getpid(), time.monotonic())
        future = _start(args[1])
        self._running.add(future)
        future.add_done_callback(lambda ended: self._end(callback, ended))
        return None

    def _starts(self, args: tuple[Any, ...]) -> bool:
        return self._has_loop and is_own(args[2])

    def _end(self, callback: Callable[[Ending], None], ended: Future[Ending]) -> None:
        self._ended.put((callback, ended))
        with suppress(BlockingIOError):  # the pipe is full: Celery's loop will wake up
            os.write(self._wake, b".")

    def _report_ended(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._awake, 65_536)
        with suppress(Empty):
            while True:
                self._report(*self._ended.get_nowait())

    def _report(self, callback: Callable[[Ending], None], ended: Future[Ending]) -> None:
        self._running.discard(ended)
        callback(ended.result())

    def on_stop(self) -> None:
        """Waits until all jobs have ended or were handed back."""
        while self._running:
            self._report(*self._ended.get())
        super().on_stop()
