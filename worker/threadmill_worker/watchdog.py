"""Ends a process whose event loop is dead or blocked, so that its supervisor starts a fresh one.

It runs in a thread. While C code holds Python's interpreter lock, as a regular expression does, that thread is blocked
too; faulthandler's timer, which does not need the lock, then ends the process after twice the time.
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

#: How often the event loop is asked for a sign of life, in seconds.
TICK_S = 1.0

#: How long it may be blocked before that is logged, in seconds.
WARN_S = 5.0

#: How many of the innermost calls of a blocked event loop are logged.
_FRAMES = 5


def give_up(reason: str, **details: object) -> None:
    """Ends the process at once with code 1; its leases lapse, and the sweep rescues its jobs."""
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
        """Call it before the loop is stopped. The timer stays armed: the rest of the shutdown must not hang either."""
        self._stopped.set()
        if self._watcher.is_alive():  # a worker whose settings are wrong stops before it is started
            self._watcher.join()

    def _watch(self) -> None:
        answered, missed = self._ask(), 0  # ticks, not time by the clock: a process that was stopped was not blocked
        while not self._stopped.wait(TICK_S):
            if not self._thread.is_alive():
                self._end("the event loop has ended")
                return
            if answered.is_set():
                answered, missed = self._ask(), 0
                continue
            missed += 1
            blocked_s = missed * TICK_S
            if blocked_s >= self._limit_s:
                self._end(f"the event loop has been blocked for {blocked_s:.3g} s", **self._place())
                return
            if blocked_s - TICK_S < WARN_S <= blocked_s:
                log.warning("event loop is blocked", blocked_s=blocked_s, **self._place())

    def _ask(self) -> Event:
        """Set as soon as the event loop runs."""
        faulthandler.dump_traceback_later(2 * self._limit_s, exit=True)
        answered = Event()
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(answered.set)
        return answered

    def _place(self) -> dict[str, object]:
        """The task that runs in the event loop, and its innermost calls."""
        task, frame = asyncio.current_task(self._loop), sys._current_frames().get(self._thread.ident or 0)
        calls = StackSummary.extract(walk_stack(frame), limit=_FRAMES, lookup_lines=False) if frame else ()
        return {
            "task": task.get_name() if task else None,
            "frames": [f"{call.name} ({call.filename}:{call.lineno})" for call in calls],
        }
