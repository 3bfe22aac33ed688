"""The events of a job, and how they are read from entries of its Redis streams. PURE."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from threadmill.job.result import TERMINAL, JobResult, JobState


class EventKind(StrEnum):
    STATE = "state"  #: the job changed to `state`
    TEXT = "text"  #: the model wrote `text`; all pieces together are the text of the job's runs
    MESSAGE = "message"  #: a message is complete; `text` is its full text
    TOOL_CALL = "tool_call"  #: the run calls tool `name` with `arguments`
    TOOL_OUTPUT = "tool_output"  #: the tool returned `output`
    RUN = "run"  #: remote run `run_id`, the job's `run`th, has `status`


class Event(BaseModel):
    """An event of a job. Only the fields of its kind are set."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: EventKind
    at: datetime
    entry_id: str | None = None  #: continues after this event, as `after` of `Client.follow`
    state: JobState | None = None
    text: str | None = None
    message_id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None  #: as the model wrote them; long ones are cut
    output: str | None = None  #: long ones are cut
    run_id: str | None = None
    run: int | None = None
    status: str | None = None


class EventMerger:
    """Merges the entries of a job's streams into events for one follower.

    Yields each piece of text once, even if the worker published it twice or the follower missed some entries.
    """

    def __init__(self) -> None:
        self._unfinished: dict[str, str] = {}  #: text yielded so far of messages being written, by id
        self._complete: set[str] = set()  #: ids of complete messages
        self._last = ""  #: text of the last complete message
        self._ended: Event | None = None  #: the final state; yielded last, unless the job was redriven

    def take(self, entry_id: str, fields: Mapping[str, str]) -> Iterator[Event]:
        """Yields the events of one stream entry."""
        at = datetime.fromtimestamp(int(entry_id.partition("-")[0]) / 1000, UTC)
        try:
            event = Event.model_validate({"kind": EventKind.STATE, **fields, "at": at, "entry_id": entry_id})
            begins = int(fields.get("begins", 0))
        except ValueError:  # damaged, or written by a newer worker
            return
        if self._ended is not None:
            yield self._ended
            self._ended = None
        match event.kind:
            case EventKind.STATE if event.state in TERMINAL:
                self._ended = event
            case EventKind.TEXT:
                yield from self._text(event, begins)
            case EventKind.MESSAGE:
                yield from self._message(event)
            case _:
                yield event

    def end(self, result: JobResult) -> Iterator[Event]:
        """Yields the part of the answer that was not yielded yet, then the final state."""
        sent = "".join(_texts(result))
        if result.text and not (self._last and self._last in sent):
            open_ = list(self._unfinished)
            at = result.timings.finished_at
            message_id = open_[-1] if open_ else None
            yield from self._message(Event(kind=EventKind.MESSAGE, at=at, message_id=message_id, text=result.text))
        yield self._ended or Event(kind=EventKind.STATE, at=result.timings.finished_at, state=result.state)

    def _text(self, event: Event, begins: int) -> Iterator[Event]:
        shown = self._unfinished.get(event.message_id or "", "")
        if event.message_id in self._complete or begins > len(shown):  # the MESSAGE event brings the missing text
            return
        piece = (event.text or "")[len(shown) - begins :]
        if piece:
            self._unfinished[event.message_id or ""] = shown + piece
            yield event.model_copy(update={"text": piece})

    def _message(self, event: Event) -> Iterator[Event]:
        message_id, text = event.message_id or "", event.text or ""
        if message_id in self._complete:
            return
        shown = self._unfinished.pop(message_id, "")
        rest = text.removeprefix(shown) if text.startswith(shown) else f"\n{text}"
        if rest:
            yield event.model_copy(update={"kind": EventKind.TEXT, "text": rest})
        self._complete.add(message_id)
        self._last = text
        yield event


def _texts(result: JobResult) -> Iterator[str]:
    """Yields the text of each content block."""
    for block in result.content:
        text = block.get("text", block.get("refusal"))
        value = text.get("value") if isinstance(text, dict) else text
        if isinstance(value, str):
            yield value
