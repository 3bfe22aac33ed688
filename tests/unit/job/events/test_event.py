"""A follower is told each piece of text once, whatever was published twice, lost, or thrown away."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadmill import Event, EventKind, JobResult, JobState
from threadmill.job.events.event import EventMerger
from threadmill.job.result import Timings

NOW = datetime(2026, 11, 21, tzinfo=UTC)
TEXT = "All work and no play makes Jack a dull boy."


def result(text: str = "", *blocks: str, state: JobState = JobState.SUCCEEDED) -> JobResult:
    content = tuple({"type": "text", "text": {"value": block}} for block in blocks)
    timings = Timings(created_at=NOW, finished_at=NOW)
    return JobResult(job_id="job", state=state, text=text, content=content, timings=timings)


def piece(begins: int, text: str, message_id: str = "m") -> dict[str, str]:
    return {"kind": "text", "message_id": message_id, "begins": str(begins), "text": text}


def whole(text: str, message_id: str = "m") -> dict[str, str]:
    return {"kind": "message", "message_id": message_id, "text": text}


def told(ended: JobResult, *entries: dict[str, str]) -> list[Event]:
    story = EventMerger()
    seen = [event for number, fields in enumerate(entries) for event in story.take(f"{number}-0", fields)]
    return [*seen, *story.end(ended)]


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if event.kind is EventKind.TEXT)


pieces = st.tuples(st.integers(0, len(TEXT)), st.integers(0, len(TEXT))).map(
    lambda place: piece(min(place), TEXT[min(place) : max(place)])
)


@given(st.lists(pieces), st.booleans())
def test_all_pieces_add_up_to_the_text(published, message_arrives):
    events = told(result(TEXT, TEXT), *published, *[whole(TEXT)] * message_arrives)

    assert text_of(events) == TEXT
    assert [event.text for event in events if event.kind is EventKind.MESSAGE] == [TEXT]
    assert events[-1].state is JobState.SUCCEEDED


def test_a_job_without_a_stream_sends_its_answer_at_the_end():
    events = told(result("Done [1]"), {"state": "queued"}, {"state": "running"}, {"state": "succeeded"})

    assert [event.kind for event in events] == ["state", "state", "text", "message", "state"]
    assert [event.state for event in events if event.state] == ["queued", "running", "succeeded"]
    assert text_of(events) == "Done [1]"


def test_an_answer_with_changed_footnotes_is_not_delivered_twice():
    events = told(result("Blue[1].\n\n[1]: sky.txt", "Blue【4:0†source】."), whole("Blue【4:0†source】."))

    assert text_of(events) == "Blue【4:0†source】."


def test_the_unpublished_answer_of_a_later_run_is_delivered():
    events = told(result("Second", "Second"), piece(0, "Fir"), whole("First"))

    assert text_of(events) == "FirstSecond"


def test_text_that_changed_is_delivered_again():
    assert text_of(told(result("Blue.", "Blue."), piece(0, "Gre"), whole("Blue."))) == "Gre\nBlue."


def test_a_message_published_twice_is_delivered_once():
    events = told(result(TEXT, TEXT), whole(TEXT), piece(0, "All"), whole(TEXT))

    assert text_of(events) == TEXT


def test_the_end_of_an_earlier_life_is_not_the_last_word():
    states = [{"state": state} for state in ("queued", "running", "failed", "queued", "running", "succeeded")]
    events = told(result("Done"), *states)

    assert [event.state for event in events if event.state] == [each["state"] for each in states]
    assert [event.kind for event in events[-3:]] == ["text", "message", "state"]


def test_a_failed_job_without_an_answer_ends_with_its_state():
    [event] = told(result(state=JobState.FAILED))

    assert (event.kind, event.state) == (EventKind.STATE, JobState.FAILED)


def test_events_of_a_newer_worker_are_passed_over():
    story = EventMerger()
    assert list(story.take("1-0", {"kind": "hologram", "text": "?"})) == []
    [event] = story.take("1700000000123-0", {"kind": "run", "run_id": "run_1", "run": "2", "status": "x", "new": "?"})
    assert (event.run, event.status, event.at.timestamp()) == (2, "x", 1700000000.123)


@pytest.mark.parametrize(
    "fields",
    [{"state": "dreaming"}, {"kind": "run", "run": "x"}, {"kind": "text", "text": "a", "begins": "x"}],
    ids=str,
)
def test_a_damaged_event_is_passed_over(fields):
    assert list(EventMerger().take("1-0", fields)) == []
