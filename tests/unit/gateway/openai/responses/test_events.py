"""The stream of a response: valid events whose numbers are the same whenever it is read."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter
from tests.unit.gateway.openai.records import NOW, record_of

from threadmill import Event, EventKind, JobState
from threadmill_gateway.openai.responses.events import ResponseEvents
from threadmill_gateway.openai.responses.object import Shown

EVENTS = TypeAdapter(ResponseStreamEvent)
ANSWER = "The sky is blue."


def text(piece, message_id="m1"):
    return Event(kind=EventKind.TEXT, at=NOW, text=piece, message_id=message_id)


def state(name):
    return Event(kind=EventKind.STATE, at=NOW + timedelta(seconds=1), state=JobState(name))


def stream(record, *events, after=None):
    shown = Shown(record, "gpt-5")
    told = ResponseEvents(shown, after)
    sent = [*told.begin(), *(each for event in events for each in told.take(event)), *told.end(shown)]
    for event in sent:
        EVENTS.validate_python(event, strict=True)
    return sent


def kinds(events):
    return [event["type"].removeprefix("response.") for event in events]


def test_a_stream_from_its_beginning_to_its_end():
    events = stream(record_of(text=ANSWER), state("running"), text("The sky "), text("is blue."), state("succeeded"))

    assert kinds(events) == [
        "created",
        "queued",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    numbers = [event["sequence_number"] for event in events]
    assert numbers == sorted(set(numbers))
    assert numbers[0] == 0
    assert events[0]["response"]["status"] == "queued"
    assert events[-1]["response"]["output"] == [events[-2]["item"]]
    assert {event["item_id"] for event in events if "item_id" in event} == {events[-2]["item"]["id"]}


def test_a_job_without_pieces_sends_its_answer_at_once():
    events = stream(record_of(text=ANSWER))

    assert [event["delta"] for event in events if "delta" in event] == [ANSWER]
    assert kinds(events)[2] == "in_progress"


def test_footnotes_follow_the_text():
    events = stream(record_of(text="Blue[1].\n\n[1] Sky"), text("Blue[1]."))

    assert [event["delta"] for event in events if "delta" in event] == ["Blue[1].", "\n\n[1] Sky"]


def test_the_end_corrects_what_was_streamed():
    events = stream(record_of(text="Second"), text("First"))

    assert [event["delta"] for event in events if "delta" in event] == ["First"]
    assert [event["text"] for event in events if event["type"].endswith("output_text.done")] == ["Second"]


def test_messages_are_apart():
    events = stream(record_of(text="One\n\nTwo"), text("One"), text("Tw", "m2"), text("o", "m2"))

    assert "".join(event["delta"] for event in events if "delta" in event) == "One\n\nTwo"


def test_a_job_that_is_handed_back_is_in_progress_once():
    events = stream(record_of(text=ANSWER), state("running"), state("queued"), state("running"))

    assert kinds(events).count("in_progress") == 1


@pytest.mark.parametrize(
    ("ended", "failure", "last", "status"),
    [
        ("failed", "server_error", "failed", "failed"),
        ("failed", "incomplete", "incomplete", "incomplete"),
        ("cancelled", "cancelled", "failed", "cancelled"),
    ],
)
def test_the_last_event_says_how_it_ended(ended, failure, last, status):
    events = stream(record_of(ended, failure=failure), text("The"))

    assert kinds(events)[-1] == last
    assert events[-1]["response"]["status"] == status
    assert [event["item"]["status"] for event in events if event["type"].endswith("item.done")] == ["incomplete"]


def test_a_job_cancelled_in_the_queue_has_no_item():
    assert kinds(stream(record_of("cancelled", failure="cancelled"))) == ["created", "queued", "failed"]


def test_a_refusal_is_streamed_as_one():
    record = record_of(text="I cannot.", content=({"type": "refusal", "refusal": "I cannot."},))

    assert kinds(stream(record))[4:8] == ["content_part.added", "refusal.delta", "refusal.done", "content_part.done"]


@given(st.sets(st.integers(1, len(ANSWER) - 1)), st.sets(st.integers(1, len(ANSWER) - 1)), st.data())
def test_a_reader_continues_anywhere_although_the_pieces_differ(first_cuts, second_cuts, data):
    record = record_of(text=ANSWER)
    whole = stream(record, state("running"), *_pieces(first_cuts))
    seen = data.draw(st.integers(0, len(whole)))
    after = whole[seen - 1]["sequence_number"] if seen else None

    rest = stream(record, state("running"), *_pieces(second_cuts), after=after)

    assert _text(whole[:seen]) + _text(rest) == ANSWER
    assert all(event["sequence_number"] > (-1 if after is None else after) for event in rest)
    assert [event for event in rest if "delta" not in event] == [
        event for event in whole[seen:] if "delta" not in event
    ]


def _pieces(cuts):
    ends = [*sorted(cuts), len(ANSWER)]
    return [text(ANSWER[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


def _text(events):
    return "".join(event.get("delta", "") for event in events)
