"""Repeats a step in an asyncio task, and stops tasks."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any

import structlog

from threadmill.redis.errors import trouble_of

log = structlog.get_logger(__name__)


def repeat(every_s: float, step: Callable[[], Awaitable[object]]) -> asyncio.Task[None]:
    """Repeats the step until the task is cancelled. Errors of a step are logged."""

    async def loop() -> None:
        while True:
            try:
                await step()
            except Exception as error:
                if trouble := trouble_of(error):
                    log.warning("Redis is away", reason=f"it {trouble.what}", remedy=trouble.remedy)
                else:
                    log.exception("a periodic step failed", step=step.__qualname__)
            await asyncio.sleep(every_s)

    return asyncio.create_task(loop(), name=step.__qualname__)


async def stop(tasks: Iterable[asyncio.Task[Any]], awaited: Collection[asyncio.Future[Any]]) -> None:
    """Cancels the tasks. Repeat it: under Python 3.11 redis-py sometimes swallows a cancellation."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(awaited, timeout=0.1)
