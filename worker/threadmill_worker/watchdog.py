"""Ends a process whose event loop has ended or is blocked, so that its supervisor starts a new one.

The watchdog runs in a thread. C code that holds Python's interpreter lock, such as a regular expression, blocks this
thread too. In that case faulthandler's timer, which does not need the lock, ends the process after twice the time.
"""

import asyncio
import faulthandler
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from traceback import StackSummary, walk_stack

import structlog

log = structlog.get_logger(__name__)

#: How often the event loop is checked, in seconds.
TICK_S = 1.0

#: How long the event loop may be blocked before a warning is logged, in seconds.
WARN_S = 5.0

#: How many of the innermost calls of a blocked event loop are logged.
_FRAMES = 5


def give_up(reason: str, **details: object) -> None:
    """Ends the process immediately with code 1. Its leases expire, and another worker's sweep rescues its jobs."""
    log.critical("worker gives up", reason=reason, **details)
    os._exit(1)  # not sys.exit: a thread that hangs would keep the process alive


class Watchdog:
    """Watches `loop`, which runs in `thread`. Calls `end` if it has ended, or is blocked for `limit_s` seconds."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        thread: Thread,
        limit_s: float,
        end: Callable[..., None] = give_up,
    ) -> None:
        self._loop = loop
        self._thread = thread
        self._limit_s = limit_s
        self._end = end
        self._stopped = Event()
        self._watcher = Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        self._watcher.start()

    def stop(self) -> None:
        """Call it before the loop is stopped. The timer stays armed, in case the rest of the shutdown hangs."""
        self._stopped.set()
        if self._watcher.is_alive():  # a worker with wrong settings stops before it starts the watcher
            self._watcher.join()

    def _watch(self) -> None:
        answered, missed = self._ping(), 0  # ticks instead of times: a clock also runs while the process is suspended
        while not self._stopped.wait(TICK_S):
            if not self._thread.is_alive():
                self._end("the event loop has ended")
                return
            if answered.is_set():
                answered, missed = self._ping(), 0
                continue
            missed += 1
            blocked_s = missed * TICK_S
            if blocked_s >= self._limit_s:
                self._end(f"the event loop has been blocked for {blocked_s:.3g} s", **self._location())
                return
            if blocked_s - TICK_S < WARN_S <= blocked_s:
                log.warning("event loop is blocked", blocked_s=blocked_s, **self._location())

    def _ping(self) -> Event:
        """Returns an event that is set as soon as the event loop runs."""
        faulthandler.dump_traceback_later(2 * self._limit_s, exit=True)
        answered = Event()
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(answered.set)
        return answered

    def _location(self) -> dict[str, object]:
        """Returns the task that runs in the event loop, and its innermost calls."""
        task, frame = asyncio.current_task(self._loop), sys._current_frames().get(self._thread.ident or 0)
        calls = StackSummary.extract(walk_stack(frame), limit=_FRAMES, lookup_lines=False) if frame else ()
        return {
            "task": task.get_name() if task else None,
            "frames": [f"{call.name} ({call.filename}:{call.lineno})" for call in calls],
        }
