"""Turns the entries of a job's streams into events for one follower, from the start or after an earlier event. PURE."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Self

from threadmill.errors import InvalidEntryId
from threadmill.job.events.event import Event, EventKind, EventMerger
from threadmill.job.result import JobResult, JobState

_ENTRY_ID = re.compile(r"(\d{1,15})-([01])-(\d{1,15})-(\d{1,15})", re.ASCII)
_STATES = list(JobState)


class Entry(NamedTuple):
    """An entry of one of the streams of a job."""

    is_state: bool  #: of the stream of its changes of state
    id: str
    fields: dict[str, str]

    @property
    def position(self) -> tuple[int, bool, int]:
        """Orders entries by Redis' time; at the same time, changes of state come last."""
        milliseconds, _, number = self.id.partition("-")
        return int(milliseconds), self.is_state, int(number)


class _Progress(NamedTuple):
    """How far a follower has come. An `entry_id` is its text."""

    position: tuple[int, bool, int]  #: of the last event that is not text
    characters: int  #: of all pieces of text

    @classmethod
    def parse(cls, entry_id: str) -> Self:
        """Raises InvalidEntryId."""
        found = _ENTRY_ID.fullmatch(entry_id)
        if found is None:
            raise InvalidEntryId(entry_id)
        milliseconds, is_state, number, characters = map(int, found.groups())
        return cls((milliseconds, bool(is_state), number), characters)

    def __str__(self) -> str:
        milliseconds, is_state, number = self.position
        return f"{milliseconds}-{is_state:d}-{number}-{self.characters}"


def check_entry_id(entry_id: str) -> None:
    """Raises InvalidEntryId if a text is not the `entry_id` of an event."""
    _Progress.parse(entry_id)


class EventReader:
    """Yields each event once; with `after`, only those after the event that has this `entry_id`.

    It needs all entries of the streams also then. Text continues at the character where the follower stopped, because
    entries of text are merged and deleted after a while. Raises InvalidEntryId.
    """

    def __init__(self, after: str | None = None) -> None:
        self._merger = EventMerger()
        self._skipped = _Progress.parse(after) if after else _Progress((0, False, 0), 0)
        self._position = self._skipped.position
        self._characters = 0

    def take(self, entries: Iterable[Entry]) -> Iterator[Event]:
        """Yields the events of entries of both streams."""
        for entry in sorted(entries, key=lambda entry: entry.position):
            for event in self._merger.take(entry.id, entry.fields):
                yield from self._unseen(event)

    def end(self, result: JobResult) -> Iterator[Event]:
        """Yields the part of the answer that was not yielded yet, then the final state."""
        for event in self._merger.end(result):
            yield from self._unseen(event)

    def _unseen(self, event: Event) -> Iterator[Event]:
        """Yields the event with its `entry_id`, unless the follower has seen it."""
        if event.kind is EventKind.TEXT:
            text = (event.text or "")[max(0, self._skipped.characters - self._characters) :]
            self._characters += len(event.text or "")
            if text:
                yield event.model_copy(update={"text": text, "entry_id": self._entry_id()})
            return
        position = _position(event)
        if position > self._skipped.position:
            self._position = max(self._position, position)
            yield event.model_copy(update={"entry_id": self._entry_id()})

    def _entry_id(self) -> str:
        return str(_Progress(self._position, max(self._characters, self._skipped.characters)))


def _position(event: Event) -> tuple[int, bool, int]:
    """Returns the position of an event that is not text.

    The stream of states may have been made again from the record, with other numbers for the same states.
    """
    milliseconds, _, number = (event.entry_id or f"{event.at.timestamp() * 1000:.0f}-0").partition("-")
    if event.kind is EventKind.STATE and event.state is not None:
        return int(milliseconds), True, _STATES.index(event.state)
    return int(milliseconds), False, int(number)
