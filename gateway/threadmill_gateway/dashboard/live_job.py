"""A job whose page is open: its record, and what its run has written so far."""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace

from threadmill.async_client import AsyncClient
from threadmill.errors import ThreadmillError, WaitTimeout
from threadmill.job.events.event import Event, EventKind
from threadmill.job.result import TERMINAL, JobState
from threadmill.store.records.job import JobRecord

#: Characters of an unfinished text that are shown: its end.
_SHOWN = 20_000

#: Tool calls of an unfinished run that are shown: the last ones.
_CALLS = 20

#: What a queued job waits for is asked for again after so many seconds.
_REASON_S = 2.0


@dataclass(frozen=True)
class ToolCall:
    name: str
    arguments: str
    output: str | None = None  #: None: it has not returned


@dataclass(frozen=True)
class Written:
    """What followers know of a job. `text`: the end of the text so far. `calls`: the last tool calls, by their id."""

    text: str = ""
    state: JobState | None = None
    status: str | None = None  #: of its run
    calls: dict[str, ToolCall] = field(default_factory=dict)

    def after(self, event: Event) -> "Written":
        """Returns what is known after an event. PURE."""
        match event.kind:
            case EventKind.TEXT:
                return replace(self, text=(self.text + (event.text or ""))[-_SHOWN:])
            case EventKind.STATE:
                return replace(self, state=event.state)
            case EventKind.RUN:
                return replace(self, status=event.status)
            case EventKind.TOOL_CALL | EventKind.TOOL_OUTPUT:
                return replace(self, calls=self._calls_after(event))
            case EventKind.MESSAGE:
                return self

    def _calls_after(self, event: Event) -> dict[str, ToolCall]:
        call_id = event.call_id or event.name or ""
        known = self.calls.get(call_id, ToolCall(event.name or "", ""))
        if event.kind is EventKind.TOOL_CALL:
            known = replace(known, name=event.name or known.name, arguments=event.arguments or "")
        else:
            known = replace(known, output=event.output or "")
        return dict(list({**self.calls, call_id: known}.items())[-_CALLS:])


@dataclass(frozen=True)
class Seen:
    record: JobRecord
    written: Written

    @property
    def has_ended(self) -> bool:
        return self.record.state in TERMINAL


class LiveJob:
    """Reads a job again and again for one page.

    The first look reads what there is. From the second one on, the job is followed until it has ended, or `close`.
    `follows`: whether followers of the job tell what the page shows; while a job is followed, its worker sends events.
    """

    def __init__(
        self, client: AsyncClient, job_id: str, follows: Callable[[JobRecord], bool] = lambda record: True
    ) -> None:
        self._client = client
        self._job_id = job_id
        self._follows = follows
        self._written = Written()
        self._last: str | None = None  #: the `entry_id` of the last event
        self._ended: JobRecord | None = None
        self._looks = 0
        self._following: asyncio.Task[None] | None = None
        self._reason: str | None = None
        self._ask_at = 0.0

    async def look(self) -> Seen:
        """Returns the job as it is now. Raises JobNotFound, UnreadableRecord, StoreUnavailable."""
        self._looks += 1
        if self._ended is not None:
            return Seen(self._ended, self._written)
        record = await self._client.get(self._job_id)
        if record.state in TERMINAL:
            self._ended = record
            self.close()
            return Seen(record, self._written)
        if self._follows(record):
            await self._read_events()
        return Seen(record, self._written)

    async def waits_for(self, record: JobRecord) -> str | None:
        """Returns what a queued job waits for, in words."""
        if record.state is not JobState.QUEUED:
            return None
        if time.monotonic() >= self._ask_at:
            self._reason = await self._client.waits_for(self._job_id)
            self._ask_at = time.monotonic() + _REASON_S
        return self._reason

    def close(self) -> None:
        """Ends the reading."""
        if self._following is not None:
            self._following.cancel()

    async def _read_events(self) -> None:
        if self._looks == 1:
            with suppress(WaitTimeout):
                await self._read(timeout_s=0)
        elif self._following is None or self._following.done():
            self._following = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        with suppress(ThreadmillError):  # a later look raises it, or follows again
            await self._read(None)

    async def _read(self, timeout_s: float | None) -> None:
        async with aclosing(self._client.follow(self._job_id, timeout_s, after=self._last)) as events:
            async for event in events:
                self._written, self._last = self._written.after(event), event.entry_id or self._last
