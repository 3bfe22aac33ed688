"""Publishes the events of running jobs, as long as somebody follows them.

Publishing is best effort: it delays a job by at most TIMEOUT_S, and never fails it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeVar

import structlog

from threadmill_worker.live.buffer import Due, EventBuffer

log = structlog.get_logger(__name__)

#: Seconds between two publications. Each publishes the events of all jobs of the process.
INTERVAL_S = 0.1

#: How long one publication may take, in seconds.
TIMEOUT_S = 2.0

#: Publishes what is due, by job id. Returns the ids of the entries, without the jobs for which publishing failed.
Publish = Callable[[Mapping[str, Due]], Awaitable[Mapping[str, list[str]]]]

#: Returns whether somebody follows a job.
IsFollowed = Callable[[str], Awaitable[bool]]

_Reply = TypeVar("_Reply")


class EventPublisher:
    """Publishes the event buffers of one worker process."""

    def __init__(self, publish: Publish, is_followed: IsFollowed) -> None:
        self._publish = publish
        self._is_followed = is_followed
        self._buffers: dict[str, EventBuffer] = {}
        self._followed: frozenset[str] = frozenset()
        self._task: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()

    def open(self, job_id: str) -> EventBuffer:
        buffer = self._buffers[job_id] = EventBuffer(self, job_id)
        buffer.followed = job_id in self._followed
        return buffer

    def follow(self, job_ids: Iterable[str]) -> None:
        """Sets which jobs somebody follows."""
        self._followed = frozenset(job_ids)
        for job_id, buffer in self._buffers.items():
            buffer.followed = job_id in self._followed
        if self._followed:
            self.wake()

    def wake(self) -> None:
        """Starts to publish, unless publishing is under way."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="live")

    async def close(self, job_id: str) -> None:
        buffer = self._buffers.pop(job_id, None)
        if buffer is None:
            return
        if buffer.has_unrecorded and not buffer.followed:  # a follower may have come since the last heartbeat
            buffer.followed = await self._best_effort(self._is_followed(job_id)) or False
        while await self._send({job_id: buffer}):
            pass

    async def _run(self) -> None:
        try:
            while True:
                await asyncio.sleep(INTERVAL_S)
                await self._send(self._buffers)
                if not any(buffer.due() for buffer in self._buffers.values()):
                    return
        finally:
            self._task = None

    async def _send(self, buffers: Mapping[str, EventBuffer]) -> bool:
        """Publishes what is due. Returns False if nothing was published; its events stay due."""
        async with self._sending:
            due = {job_id: (buffer, events) for job_id, buffer in buffers.items() if (events := buffer.due())}
            if not due:
                return False
            sending = self._publish({job_id: events for job_id, (_, events) in due.items()})
            published = await self._best_effort(sending) or {}
            for job_id, ids in published.items():
                buffer, events = due[job_id]
                buffer.sent(events, ids)
            return bool(published)

    @staticmethod
    async def _best_effort(call: Awaitable[_Reply]) -> _Reply | None:
        """Returns the reply of Redis, or None if there is none."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await call
        except Exception as error:  # a job must not fail because of it; the heartbeat warns of Redis outages
            log.debug("not published", reason=repr(error))
            return None
