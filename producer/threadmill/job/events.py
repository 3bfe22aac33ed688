"""What happens to a job while it runs, for who follows it; and how entries of Redis become that. PURE."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from threadmill.job.result import TERMINAL, JobResult, JobState


class EventKind(StrEnum):
    STATE = "state"  #: the job came into `state`
    TEXT = "text"  #: `text` was written: all pieces together are what the job's runs wrote
    MESSAGE = "message"  #: a message is complete; `text` is the whole of it
    TOOL_CALL = "tool_call"  #: tool `name` is called with `arguments`
    TOOL_OUTPUT = "tool_output"  #: it is done, with `output`
    RUN = "run"  #: remote run `run_id`, the job's `run`th, was seen in `status`


class Event(BaseModel):
    """Something that happened; only the fields of its kind are set."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: EventKind
    at: datetime
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


class Story:
    """One follower's view of a job: each piece of text is told once, whatever was published twice or missed."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}  #: of messages being written, by id
        self._whole: set[str] = set()  #: ids of complete messages
        self._last = ""  #: text of the last complete one
        self._ended: Event | None = None  #: told last, unless the job was sent again

    def take(self, entry_id: str, fields: Mapping[str, str]) -> Iterator[Event]:
        """What an entry of a job's streams says."""
        at = datetime.fromtimestamp(int(entry_id.partition("-")[0]) / 1000, UTC)
        try:
            event = Event.model_validate({"kind": EventKind.STATE, **fields, "at": at})
            begins = int(fields.get("begins", 0))
        except ValueError:  # damaged, or of a newer worker
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
        """What of the answer was not told while the job ran, and that it has ended."""
        sent = "".join(_texts(result))
        if result.text and not (self._last and self._last in sent):
            open_ = list(self._told)
            at = result.timings.finished_at
            message_id = open_[-1] if open_ else None
            yield from self._message(Event(kind=EventKind.MESSAGE, at=at, message_id=message_id, text=result.text))
        yield self._ended or Event(kind=EventKind.STATE, at=result.timings.finished_at, state=result.state)

    def _text(self, event: Event, begins: int) -> Iterator[Event]:
        told = self._told.get(event.message_id or "", "")
        if event.message_id in self._whole or begins > len(told):  # the rest comes with the whole message
            return
        piece = (event.text or "")[len(told) - begins :]
        if piece:
            self._told[event.message_id or ""] = told + piece
            yield event.model_copy(update={"text": piece})

    def _message(self, event: Event) -> Iterator[Event]:
        message_id, text = event.message_id or "", event.text or ""
        if message_id in self._whole:
            return
        told = self._told.pop(message_id, "")
        rest = text.removeprefix(told) if text.startswith(told) else f"\n{text}"
        if rest:
            yield event.model_copy(update={"kind": EventKind.TEXT, "text": rest})
        self._whole.add(message_id)
        self._last = text
        yield event


def _texts(result: JobResult) -> Iterator[str]:
    """The texts of its blocks, as they were sent."""
    for block in result.content:
        text = block.get("text", block.get("refusal"))
        value = text.get("value") if isinstance(text, dict) else text
        if isinstance(value, str):
            yield value
