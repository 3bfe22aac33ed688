"""The text that a running job has written so far, for pages that are open."""

import asyncio
from contextlib import aclosing, suppress

from threadmill.async_client import AsyncClient
from threadmill.errors import ThreadmillError
from threadmill.job.events import EventKind

#: How long a job is followed after the text was read last, in seconds. An open page reads it every second.
_IDLE_S = 15.0

#: Characters that are shown: the latest ones.
_SHOWN = 50_000

#: The event loop keeps only weak references to its tasks.
_FOLLOWING: set[asyncio.Task[None]] = set()


class LiveText:
    """Follows a job while somebody reads its text. A job without `stream` writes none before its answer is complete."""

    def __init__(self, client: AsyncClient, job_id: str) -> None:
        self._client = client
        self._job_id = job_id
        self._text = ""
        self._task: asyncio.Task[None] | None = None
        self._idle: asyncio.Timeout | None = None

    def read(self) -> str:
        """Returns the text so far. The first call begins to follow the job."""
        if self._task is None:
            self._task = asyncio.create_task(self._follow(), name=f"live text of {self._job_id}")
            _FOLLOWING.add(self._task)
            self._task.add_done_callback(_FOLLOWING.discard)
        elif self._idle is not None and not self._task.done():
            self._idle.reschedule(asyncio.get_running_loop().time() + _IDLE_S)
        return self._text

    async def _follow(self) -> None:
        with suppress(ThreadmillError, TimeoutError):  # the page shows what it has
            async with asyncio.timeout(_IDLE_S) as self._idle, aclosing(self._client.follow(self._job_id)) as events:
                async for event in events:
                    if event.kind is EventKind.TEXT:
                        self._text = (self._text + (event.text or ""))[-_SHOWN:]
