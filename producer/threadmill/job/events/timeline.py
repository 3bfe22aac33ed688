"""The timeline of a job: what happened to it, and when. PURE.

The worker adds entries while it works; the record holds them as JSON. What the record says anyway (when the job was
created, and how it ended) is no entry there; `JobRecord.full_timeline` adds it.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from pydantic import TypeAdapter

from threadmill.secrets.redaction import redact
from threadmill.surrogates import replace_surrogates

#: The most entries of a timeline. Between its first and its latest entries, one says how many were left out.
MOST = 60
_FIRST = 20

#: Characters of a detail that are kept.
DETAIL_CHARACTERS = 500


class TimelineKind(StrEnum):
    QUEUED = "queued"  #: the job was created
    CLAIMED = "claimed"  #: a worker began an attempt
    FILES = "files"  #: a file was uploaded or downloaded, or a vector store changed
    THREAD = "thread"  #: the thread was created
    RUN_CREATED = "run created"
    RUN_CHANGED = "run changed"  #: a look at the run saw another status, or the next round of its tools
    RUN_CANCELLED = "run cancelled"  #: the server was asked to cancel the run
    TOOL_CALL = "tool call"  #: the run calls a tool; the detail is its name and arguments
    TOOL_OUTPUT = "tool output"
    RERUN = "rerun"  #: a run brought no answer, and another one follows; the detail is the reason
    LIMITED = "limited"  #: a call waits for a limit of the server
    CALL_FAILED = "call failed"  #: a call got no usable reply
    CANCEL_ASKED = "cancel asked"  #: the user asked to cancel the job
    ANSWER = "answer"  #: the answer was read
    FAILED = "failed"  #: the failure of the job is known; the clean-up follows
    DELETED = "deleted"  #: an object on the server was deleted
    LANE = "lane"  #: the job waits in the batch lane
    MOVED = "moved"  #: the job left its endpoint for another
    ENDED = "ended"  #: the job ended, or ended before it was redriven
    LEFT_OUT = "left out"  #: so many entries were left out here


#: Kinds whose entries in a row are one entry: they may come in hundreds.
_MERGED = frozenset({TimelineKind.LIMITED, TimelineKind.CALL_FAILED})


class TimelineEntry(NamedTuple):
    at_s: float  #: seconds since the job was created
    kind: str  #: a TimelineKind, or one of a newer version
    detail: str = ""  #: with secrets redacted, and cut if long
    times: int = 1  #: how often in a row; the time is that of the first, the detail that of the latest


Timeline = tuple[TimelineEntry, ...]

_ADAPTER = TypeAdapter(Timeline)


def add(timeline: Timeline, at_s: float, kind: TimelineKind, detail: str = "") -> Timeline:
    """Returns the timeline with one more entry, redacted and cut."""
    entry = TimelineEntry(round(at_s, 3), kind.value, _cut(replace_surrogates(redact(detail))))
    if timeline and kind in _MERGED and (last := timeline[-1]).kind == kind:
        return (*timeline[:-1], entry._replace(at_s=last.at_s, times=last.times + 1))
    return _bounded((*timeline, entry))


def to_json(timeline: Timeline) -> str:
    return _ADAPTER.dump_json(timeline).decode()


def from_json(text: str) -> Timeline:
    """Reads a timeline. Raises ValueError."""
    return _ADAPTER.validate_json(text)


def _bounded(timeline: Timeline) -> Timeline:
    if len(timeline) <= MOST:
        return timeline
    first, old, lost, rest = timeline[:_FIRST], timeline[_FIRST], timeline[_FIRST + 1], timeline[_FIRST + 2 :]
    left_out = old._replace(kind=TimelineKind.LEFT_OUT.value, detail="", times=old.times + lost.times)
    return (*first, left_out, *rest)


def _cut(text: str) -> str:
    return text if len(text) <= DETAIL_CHARACTERS else f"{text[: DETAIL_CHARACTERS - 1]}…"


def in_order(*parts: Sequence[TimelineEntry]) -> Timeline:
    """Returns the entries of all parts by their time."""
    return tuple(sorted((entry for part in parts for entry in part), key=lambda entry: entry.at_s))
