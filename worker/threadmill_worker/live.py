"""Publishes the events of running jobs. Events are buffered until somebody follows the job.

Publishing is best effort: it delays a job by PATIENCE_S at most, and never fails one.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

import structlog

from threadmill.job.events import EventKind
from threadmill.secrets.redaction import REDACTOR, redact
from threadmill.surrogates import replace_surrogates

log = structlog.get_logger(__name__)

#: Between two publications: text comes in bundles, for all jobs of the process together.
PAUSE_S = 0.1

#: How long Redis may take for one, and a job's end for its last.
PATIENCE_S = 2.0

#: Bytes of deltas that are kept unread; then their text alone is kept, which is far less.
RAW_LIMIT = 256_000

#: Characters of text that are published of one job.
TEXT_LIMIT = 256_000

#: Characters of a tool's arguments, and of its output.
CUT_AT = 2000

#: What is kept while nobody follows, or Redis is away: the newest.
_WAITING_LIMIT = 1000

#: Reads a delta as its message's id and a piece of its text.
ReadDelta = Callable[[bytes], tuple[str, str]]

Entry = dict[str, str | int]


@dataclass(frozen=True)
class Due:
    """What to publish of one job now."""

    entries: tuple[Entry, ...]
    superseded: tuple[str, ...]  #: ids of published entries that say nothing new any more
    is_first: bool

    @property
    def commands(self) -> int:
        """How many commands publish it."""
        return len(self.entries) + bool(self.superseded) + self.is_first


#: Publishes what is due, by job id; gives the ids of the entries. A job it could not publish for is left out.
Publish = Callable[[Mapping[str, Due]], Awaitable[Mapping[str, list[str]]]]


@dataclass
class _Text:
    """A message that is being written."""

    text: str = ""
    held: str = ""  #: what came after it, and may be the beginning of a secret
    told: int = 0  #: characters that were made entries
    bundles: list[str] = field(default_factory=list)  #: ids of these


class EventBuffer:
    """The unpublished events of one job. Without `live`, they are never published."""

    def __init__(self, live: "EventPublisher | None" = None, job_id: str = "") -> None:
        self.followed = False
        self._live = live
        self._job_id = job_id
        self._waiting: deque[Entry] = deque(maxlen=_WAITING_LIMIT)
        self._raw: list[bytes] = []
        self._raw_size = 0
        self._read: ReadDelta | None = None
        self._texts: dict[str, _Text] = {}
        self._superseded: list[str] = []
        self._room = TEXT_LIMIT
        self._is_first = True

    def emit(self, kind: EventKind, **fields: str | int) -> None:
        """Adds an event that is rare in a job's life."""
        self._bundle()
        entry: Entry = {"kind": kind.value}
        self._waiting.append(entry | {name: _cut(_clean(value)) for name, value in fields.items()})
        self._wake()

    def delta(self, data: bytes, read: ReadDelta) -> None:
        """Adds a piece of a message as the server sent it. It is parsed only when somebody follows the job."""
        self._raw.append(data)
        self._raw_size += len(data)
        self._read = read
        if self._raw_size > RAW_LIMIT:
            self._take_in()
        self._wake()

    def message(self, message_id: str, text: str) -> None:
        """Adds a complete message, which replaces its pieces."""
        self._bundle()
        self._raw, self._raw_size = [], 0
        open_ = self._texts.pop(message_id, _Text())
        self._superseded += open_.bundles
        self._room += open_.told
        text = str(_clean(text))[: self._room]
        self._room -= len(text)
        self._waiting.append({"kind": EventKind.MESSAGE.value, "message_id": message_id, "text": text})
        self._wake()

    async def close(self) -> None:
        """Publishes what is left. Call it before the job ends; repeated calls have no effect."""
        if self._live is not None:
            await self._live.close(self._job_id)

    def due(self, *, last: bool = False) -> Due | None:
        """What to publish now: nothing while nobody follows. `last`: also tool events, which no record holds."""
        self._bundle()
        wanted = self.followed or (last and any(entry["kind"] in _KEPT for entry in self._waiting))
        entries = tuple(self._waiting) if wanted else ()
        superseded = () if any(entry["kind"] == EventKind.MESSAGE for entry in entries) else tuple(self._superseded)
        return Due(entries, superseded, self._is_first) if entries or superseded else None

    def sent(self, due: Due, ids: Iterable[str]) -> None:
        """Removes published events. `ids`: of the published entries."""
        self._is_first = False
        for entry, id in zip(due.entries, ids, strict=True):
            if self._waiting and self._waiting[0] is entry:  # else it had to make room
                self._waiting.popleft()
            if entry["kind"] == EventKind.TEXT:
                text = self._texts.get(str(entry["message_id"]))
                (text.bundles if text else self._superseded).append(id)
        self._superseded = [id for id in self._superseded if id not in due.superseded]

    def _bundle(self) -> None:
        """Makes an entry of the new text, unless an earlier text entry still waits."""
        if not self.followed or any(entry["kind"] == EventKind.TEXT for entry in self._waiting):
            return
        self._take_in()
        for message_id, open_ in self._texts.items():
            piece = open_.text[open_.told :][: self._room]
            if piece:
                entry: Entry = {
                    "kind": EventKind.TEXT.value,
                    "message_id": message_id,
                    "begins": open_.told,
                    "text": piece,
                }
                self._waiting.append(entry)
                open_.told += len(piece)
                self._room -= len(piece)

    def _take_in(self) -> None:
        """Parses the buffered deltas."""
        pieces: dict[str, list[str]] = {}
        for data in self._raw:
            assert self._read is not None
            message_id, piece = self._read(data)
            pieces.setdefault(message_id, []).append(piece)
        for message_id, parts in pieces.items():
            open_ = self._texts.setdefault(message_id, _Text())
            came = open_.held + replace_surrogates("".join(parts))
            end = len(came) - REDACTOR.unfinished(came)
            open_.text += redact(came[:end])
            open_.held = came[end:]
        self._raw, self._raw_size = [], 0

    def _wake(self) -> None:
        if self.followed and self._live is not None:
            self._live.wake()


#: What stands nowhere else: run statuses and messages are in the job's record too, in the end.
_KEPT = {EventKind.TOOL_CALL, EventKind.TOOL_OUTPUT}


class EventPublisher:
    """Publishes the event buffers of one worker process."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self._feeds: dict[str, EventBuffer] = {}
        self._followed: frozenset[str] = frozenset()
        self._task: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()

    def open(self, job_id: str) -> EventBuffer:
        feed = self._feeds[job_id] = EventBuffer(self, job_id)
        feed.followed = job_id in self._followed
        return feed

    def follow(self, job_ids: Iterable[str]) -> None:
        """Sets the jobs that somebody follows."""
        self._followed = frozenset(job_ids)
        for job_id, feed in self._feeds.items():
            feed.followed = job_id in self._followed
        if self._followed:
            self.wake()

    def wake(self) -> None:
        """Starts publishing, unless it is under way."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="live")

    async def close(self, job_id: str) -> None:
        feed = self._feeds.pop(job_id, None)
        while feed is not None and await self._send({job_id: feed}, last=True):
            pass

    async def _run(self) -> None:
        try:
            while True:
                await asyncio.sleep(PAUSE_S)
                await self._send(self._feeds)
                if not any(feed.due() for feed in self._feeds.values()):
                    return
        finally:
            self._task = None

    async def _send(self, feeds: Mapping[str, EventBuffer], *, last: bool = False) -> bool:
        """Publishes what is due. Returns whether anything was published; events stay due otherwise."""
        async with self._sending:
            due = {job_id: (feed, news) for job_id, feed in feeds.items() if (news := feed.due(last=last))}
            if not due:
                return False
            try:
                async with asyncio.timeout(PATIENCE_S):
                    published = await self._publish({job_id: news for job_id, (_, news) in due.items()})
            except Exception as error:  # no job may fail because of it; the heartbeat warns when Redis is away
                log.debug("not published", reason=repr(error))
                return False
            for job_id, ids in published.items():
                feed, news = due[job_id]
                feed.sent(news, ids)
            return bool(published)


def _clean(value: str | int) -> str | int:
    return replace_surrogates(redact(value)) if isinstance(value, str) else value


def _cut(value: str | int) -> str | int:
    return f"{value[:CUT_AT]}..." if isinstance(value, str) and len(value) > CUT_AT else value
