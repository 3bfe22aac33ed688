"""Daemon threads for synchronous user code. The event loop's executor is not used: it joins its threads at exit."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


class DaemonThreads:
    """Starts each call in its own thread. At most `limit` run at a time; None: no limit."""

    def __init__(self, limit: int | None = None) -> None:
        self._free = asyncio.Semaphore(limit or sys.maxsize)

    async def start(self, function: Callable[[], T], name: str) -> asyncio.Future[T]:
        """Starts `function`, which must not raise, once fewer than `limit` threads run. Returns its future result.

        Cancelling the future does not stop the thread. It counts towards the limit until it ends.
        """
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()
        context = copy_context()

        def end(value: T) -> None:
            self._free.release()
            if not result.done():
                result.set_result(value)

        def run() -> None:
            value = context.run(function)
            with suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(end, value)

        try:
            Thread(target=run, name=name, daemon=True).start()
        except RuntimeError:  # the system has no more threads
            self._free.release()
            raise
        return result
