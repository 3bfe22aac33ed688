"""Buffers the events of a job until somebody follows it."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from threadmill.job.events.event import EventKind
from threadmill.secrets.redaction import REDACTOR, redact
from threadmill.surrogates import replace_surrogates

#: How many bytes of deltas are kept unparsed. Beyond that they are parsed, and only their text is kept.
RAW_LIMIT = 256_000

#: How many characters of text are published per job.
TEXT_LIMIT = 256_000

#: How many characters of a tool's arguments, and of its output, are published.
FIELD_LIMIT = 2000

#: How many events are kept while nobody follows, or during a Redis outage; the oldest are dropped.
_WAITING_LIMIT = 1000

#: Parses a delta into the id of its message and a piece of its text.
ReadDelta = Callable[[bytes], tuple[str, str]]

Entry = dict[str, str | int]


@dataclass(frozen=True)
class Due:
    """What to publish for one job now."""

    entries: tuple[Entry, ...]
    superseded: tuple[str, ...]  #: ids of published entries to delete, whose text a later entry repeats
    is_first: bool

    @property
    def commands(self) -> int:
        """How many commands publish it."""
        return len(self.entries) + bool(self.superseded) + self.is_first


@dataclass
class _Text:
    """A message that is being written."""

    text: str = ""
    held: str = ""  #: the end of the text, held back because it may be the beginning of a secret
    emitted: int = 0  #: how many characters have become entries
    entry_ids: list[str] = field(default_factory=list)  #: ids of the published ones among these entries


class Publisher(Protocol):
    """Publishes the buffers of jobs."""

    def wake(self) -> None:
        """Starts to publish, unless publishing is under way."""

    async def close(self, job_id: str) -> None:
        """Publishes the remaining events of a job, and forgets its buffer."""


class EventBuffer:
    """The unpublished events of one job. Without a publisher they are never published."""

    def __init__(self, publisher: Publisher | None = None, job_id: str = "") -> None:
        self.followed = False
        self._publisher = publisher
        self._job_id = job_id
        self._waiting: deque[Entry] = deque(maxlen=_WAITING_LIMIT)
        self._raw: list[bytes] = []
        self._raw_size = 0
        self._read: ReadDelta | None = None
        self._texts: dict[str, _Text] = {}
        self._superseded: list[str] = []
        self._text_left = TEXT_LIMIT
        self._is_first = True

    def emit(self, kind: EventKind, **fields: str | int) -> None:
        """Adds an event other than a delta or a message."""
        self._emit_text()
        entry: Entry = {"kind": kind.value}
        self._waiting.append(entry | {name: _cut(_clean(value)) for name, value in fields.items()})
        self._wake()

    def delta(self, data: bytes, read: ReadDelta) -> None:
        """Adds a piece of a message, as the server sent it. It is parsed only if somebody follows the job."""
        self._raw.append(data)
        self._raw_size += len(data)
        self._read = read
        if self._raw_size > RAW_LIMIT:
            self._parse_deltas()
        self._wake()

    def message(self, message_id: str, text: str) -> None:
        """Adds a complete message, which replaces its pieces."""
        self._emit_text()
        self._raw, self._raw_size = [], 0
        open_ = self._texts.pop(message_id, _Text())
        self._superseded += open_.entry_ids
        self._text_left += open_.emitted
        text = str(_clean(text))[: self._text_left]
        self._text_left -= len(text)
        self._waiting.append({"kind": EventKind.MESSAGE.value, "message_id": message_id, "text": text})
        self._wake()

    async def close(self) -> None:
        """Publishes the remaining events. Call it before the job ends; repeated calls have no effect."""
        if self._publisher is not None:
            await self._publisher.close(self._job_id)

    @property
    def has_unrecorded(self) -> bool:
        """Whether events wait that the job's record does not contain: it has the status of the run and the messages."""
        return any(entry["kind"] in (EventKind.TOOL_CALL, EventKind.TOOL_OUTPUT) for entry in self._waiting)

    def due(self) -> Due | None:
        """Returns what to publish now; None while nobody follows."""
        self._emit_text()
        entries = tuple(self._waiting) if self.followed else ()
        superseded = () if any(entry["kind"] == EventKind.MESSAGE for entry in entries) else tuple(self._superseded)
        return Due(entries, superseded, self._is_first) if entries or superseded else None

    def sent(self, due: Due, ids: Iterable[str]) -> None:
        """Removes published events. `ids`: the ids of their stream entries."""
        self._is_first = False
        for entry, id in zip(due.entries, ids, strict=True):
            if self._waiting and self._waiting[0] is entry:  # otherwise it was dropped
                self._waiting.popleft()
            if entry["kind"] == EventKind.TEXT:
                text = self._texts.get(str(entry["message_id"]))
                (text.entry_ids if text else self._superseded).append(id)
        self._superseded = [id for id in self._superseded if id not in due.superseded]

    def _emit_text(self) -> None:
        """Turns new text into an entry, unless an earlier text entry is still unpublished."""
        if not self.followed or any(entry["kind"] == EventKind.TEXT for entry in self._waiting):
            return
        self._parse_deltas()
        for message_id, open_ in self._texts.items():
            piece = open_.text[open_.emitted :][: self._text_left]
            if piece:
                entry: Entry = {
                    "kind": EventKind.TEXT.value,
                    "message_id": message_id,
                    "begins": open_.emitted,
                    "text": piece,
                }
                self._waiting.append(entry)
                open_.emitted += len(piece)
                self._text_left -= len(piece)

    def _parse_deltas(self) -> None:
        """Parses the buffered deltas."""
        pieces: dict[str, list[str]] = {}
        for data in self._raw:
            assert self._read is not None
            message_id, piece = self._read(data)
            pieces.setdefault(message_id, []).append(piece)
        for message_id, parts in pieces.items():
            open_ = self._texts.setdefault(message_id, _Text())
            received = open_.held + replace_surrogates("".join(parts))
            end = len(received) - REDACTOR.unfinished(received)
            open_.text += redact(received[:end])
            open_.held = received[end:]
        self._raw, self._raw_size = [], 0

    def _wake(self) -> None:
        if self.followed and self._publisher is not None:
            self._publisher.wake()


def _clean(value: str | int) -> str | int:
    return replace_surrogates(redact(value)) if isinstance(value, str) else value


def _cut(value: str | int) -> str | int:
    return f"{value[:FIELD_LIMIT]}..." if isinstance(value, str) and len(value) > FIELD_LIMIT else value
