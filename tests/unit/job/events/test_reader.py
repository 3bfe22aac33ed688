"""A follower continues after any event, though entries were merged, deleted or made again meanwhile."""

import pytest

from threadmill.errors import InvalidEntryId
from threadmill.job.events.event import EventKind
from threadmill.job.events.reader import Entry, EventReader

QUEUED = Entry(True, "1000-0", {"state": "queued"})
RUNNING = Entry(True, "1000-1", {"state": "running"})


def text(entry_id: str, piece: str, begins: int = 0) -> Entry:
    return Entry(False, entry_id, {"kind": "text", "message_id": "m", "text": piece, "begins": str(begins)})


def message(entry_id: str, whole: str) -> Entry:
    return Entry(False, entry_id, {"kind": "message", "message_id": "m", "text": whole})


def texts(events) -> str:
    return "".join(event.text for event in events if event.kind is EventKind.TEXT)


STORY = [QUEUED, RUNNING, text("2000-0", "Be"), text("2001-0", "cause", 2), message("3000-0", "Because of light")]


def test_events_after_any_event_are_the_rest():
    events = list(EventReader().take(STORY))
    assert texts(events) == "Because of light"
    for at, event in enumerate(events):
        assert list(EventReader(event.entry_id).take(STORY)) == events[at + 1 :]


def test_text_continues_within_an_entry_that_repeats_what_was_deleted():
    [*_, last] = EventReader().take(STORY[:3])
    merged = [QUEUED, RUNNING, text("2500-0", "Because"), *STORY[4:]]
    rest = list(EventReader(last.entry_id).take(merged))
    assert texts(rest) == "cause of light"
    assert rest[-1].kind is EventKind.MESSAGE


def test_states_that_were_made_again_from_the_record_are_not_repeated():
    [_, running] = EventReader().take([QUEUED, RUNNING])
    again = [Entry(True, "1000-1", QUEUED.fields), Entry(True, "1000-2", RUNNING.fields)]
    assert list(EventReader(running.entry_id).take(again)) == []


def test_a_follower_that_continues_twice_does_not_go_back():
    events = list(EventReader().take(STORY))
    [*_, before] = EventReader(events[2].entry_id).take(STORY[:4])
    assert texts(EventReader(before.entry_id).take(STORY)) == " of light"


@pytest.mark.parametrize("entry_id", ["yesterday", "1000-0", "1-2-3-4", "1-0-3-4 ", "9" * 16 + "-0-0-0"])
def test_other_texts_are_refused(entry_id):
    with pytest.raises(InvalidEntryId, match="entry_id"):
        EventReader(entry_id)
