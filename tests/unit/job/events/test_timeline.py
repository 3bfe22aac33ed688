"""The timeline of a job: its bounds, what it merges, and its form in Redis."""

import pytest
from pydantic import ValidationError

from threadmill.job.events.timeline import DETAIL_CHARACTERS, MOST, Timeline, TimelineKind, add, from_json, to_json
from threadmill.secrets.redaction import REDACTOR


def long(entries: int, timeline: Timeline = ()) -> Timeline:
    for number in range(entries):
        timeline = add(timeline, float(number), TimelineKind.RUN_CHANGED, f"round {number}")
    return timeline


def test_a_timeline_is_read_as_it_was_written() -> None:
    timeline = add((), 0.12345, TimelineKind.THREAD, "thread_1")
    timeline = add(timeline, 2.0, TimelineKind.TOOL_OUTPUT, 'SEARCH "Brötchen" \ud83e\udd50 \ud800')
    assert from_json(to_json(timeline)) == timeline
    assert timeline[0].at_s == 0.123
    assert timeline[1].detail == 'SEARCH "Brötchen" \N{CROISSANT} \ufffd'


def test_a_kind_of_a_newer_version_is_read() -> None:
    [entry] = from_json('[[1.5,"teleported"]]')
    assert (entry.at_s, entry.kind, entry.detail, entry.times) == (1.5, "teleported", "", 1)


@pytest.mark.parametrize("damaged", ["", "{", "[[]]", '[["x","thread"]]', "null"])
def test_a_damaged_timeline_is_an_error(damaged: str) -> None:
    with pytest.raises(ValidationError):
        from_json(damaged)


def test_entries_in_a_row_about_limits_are_one() -> None:
    timeline = add((), 1.0, TimelineKind.LIMITED, "60 requests a minute")
    timeline = add(timeline, 2.0, TimelineKind.LIMITED, "59 requests a minute")
    timeline = add(timeline, 3.0, TimelineKind.CALL_FAILED, "HTTP 500")
    timeline = add(timeline, 4.0, TimelineKind.LIMITED, "60 requests a minute")
    assert [tuple(entry) for entry in timeline] == [
        (1.0, "limited", "59 requests a minute", 2),
        (3.0, "call failed", "HTTP 500", 1),
        (4.0, "limited", "60 requests a minute", 1),
    ]


def test_a_long_timeline_keeps_its_beginning_and_its_end_and_counts_the_rest() -> None:
    timeline = long(200)
    assert len(timeline) == MOST
    left_out = [entry for entry in timeline if entry.kind == TimelineKind.LEFT_OUT]
    assert [(entry.at_s, entry.times) for entry in left_out] == [(20.0, 200 - MOST + 1)]
    others = [entry.at_s for entry in timeline if entry.kind != TimelineKind.LEFT_OUT]
    assert others == [float(number) for number in (*range(20), *range(200 - MOST + 21, 200))]
    assert len(long(MOST)) == MOST
    assert all(entry.kind != TimelineKind.LEFT_OUT for entry in long(MOST))


def test_a_detail_is_cut_after_its_secrets_are_redacted() -> None:
    secret = "sk-timeline-" + "7" * 40
    REDACTOR.register(secret)
    try:
        padding = "x" * (DETAIL_CHARACTERS - 10)
        [entry] = add((), 1.0, TimelineKind.TOOL_CALL, f"{padding}{secret} and more")
    finally:
        REDACTOR.forget(secret)
    assert len(entry.detail) == DETAIL_CHARACTERS
    assert entry.detail.endswith("[key] and…")
