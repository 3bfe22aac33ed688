"""The events of a job as the events of a response's stream. PURE.

Each event has a `sequence_number`, which is the same whenever the stream is read: a piece of text counts as many as it
has characters, any other event counts one. So a reader can continue within a piece that was longer or shorter before.
"""

from collections.abc import Iterator
from typing import Any

from threadmill.job.events.event import Event
from threadmill.job.result import JobResult, JobState
from threadmill_gateway.openai.answer_stream import AnswerText
from threadmill_gateway.openai.responses.object import (
    Shown,
    content_of,
    message_object,
    output_of,
    response_object,
    status_of,
    text_object,
)

StreamEvent = dict[str, Any]

#: The place of the only message, and of its only content.
_ITEM = {"output_index": 0}
_CONTENT = {"output_index": 0, "content_index": 0}

#: The last event of a response with this status. OpenAI has none for a cancelled response.
_LAST = {"completed": "completed", "incomplete": "incomplete"}


class ResponseEvents:
    """Yields the events of one response, after the one with the number `starting_after`.

    Call `begin`, `take` with all events of the job from its start, and `end` with its record after its end.
    """

    def __init__(self, shown: Shown, starting_after: int | None = None) -> None:
        self._shown = shown
        self._after = -1 if starting_after is None else starting_after
        self._next = 0  #: the number of the next event
        self._answer = AnswerText()
        self._is_running = False
        self._has_item = False

    def begin(self) -> Iterator[StreamEvent]:
        for status in ("created", "queued"):
            yield from self._event(status, response=response_object(self._shown, "queued"))

    def take(self, event: Event) -> Iterator[StreamEvent]:
        """Yields the events that an event of the job brings."""
        if event.state is JobState.RUNNING:
            yield from self._run()
        if piece := self._answer.take(event):
            yield from self._run()
            yield from self._write(piece)

    def end(self, shown: Shown) -> Iterator[StreamEvent]:
        """Yields what is missing of the answer, and the last event, which has the whole response."""
        result = shown.record.result
        if result and result.text:
            yield from self._answered(shown, result)
        elif self._has_item:
            content = text_object(self._answer.text)
            yield from self._close(content, message_object(shown.message_id, "incomplete", content))
        last = _LAST.get(status_of(shown.record), "failed")
        yield from self._event(last, response=response_object(shown))

    def _answered(self, shown: Shown, result: JobResult) -> Iterator[StreamEvent]:
        content, [item] = content_of(shown.record.job, result), output_of(shown, result)
        if content["type"] == "output_text":
            if piece := self._answer.rest(content["text"]):
                yield from self._run()
                yield from self._write(piece)
            yield from self._close(content, item)
        elif self._has_item:  # the text was streamed before anybody could know that it refuses
            yield from self._close(text_object(self._answer.text), item)
        else:
            yield from self._run()
            yield from self._refuse(content, item)

    def _run(self) -> Iterator[StreamEvent]:
        if not self._is_running:
            self._is_running = True
            yield from self._event("in_progress", response=response_object(self._shown, "in_progress"))

    def _open(self, content: StreamEvent) -> Iterator[StreamEvent]:
        self._has_item = True
        item = message_object(self._shown.message_id, "in_progress")
        yield from self._event("output_item.added", **_ITEM, item=item)
        yield from self._event("content_part.added", **self._place, part=content)

    def _write(self, piece: str) -> Iterator[StreamEvent]:
        if not self._has_item:
            yield from self._open(text_object(""))
        begins = self._next - 1  # the number of an event is that of its last character
        unseen = piece[max(0, self._after - begins) :]
        self._next += len(piece) - 1
        yield from self._event("output_text.delta", **self._place, delta=unseen, logprobs=[])

    def _refuse(self, content: StreamEvent, item: StreamEvent) -> Iterator[StreamEvent]:
        yield from self._open({"type": "refusal", "refusal": ""})
        yield from self._event("refusal.delta", **self._place, delta=content["refusal"])
        yield from self._event("refusal.done", **self._place, refusal=content["refusal"])
        yield from self._done(content, item)

    def _close(self, content: StreamEvent, item: StreamEvent) -> Iterator[StreamEvent]:
        yield from self._event("output_text.done", **self._place, text=content["text"], logprobs=[])
        yield from self._done(content, item)

    def _done(self, content: StreamEvent, item: StreamEvent) -> Iterator[StreamEvent]:
        yield from self._event("content_part.done", **self._place, part=content)
        yield from self._event("output_item.done", **_ITEM, item=item)

    @property
    def _place(self) -> StreamEvent:
        return {"item_id": self._shown.message_id, **_CONTENT}

    def _event(self, kind: str, **fields: Any) -> Iterator[StreamEvent]:
        number, self._next = self._next, self._next + 1
        if number > self._after:
            yield {"type": f"response.{kind}", "sequence_number": number, **fields}
