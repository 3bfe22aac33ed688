"""Sections of a report from lines of a results file."""

from threadmill.job.result import FailureKind
from threadmill.reports.content.sections import missing_section, section_of

ENTRY = {"path": "a.md", "name": "a.md", "state": "succeeded", "text": "one\u2028two\x85three"}


def test_a_section_has_the_answer_or_the_reason():
    timings = {"created_at": None, "started_at": "2026-11-20T06:00:00Z", "finished_at": "2026-11-20T06:00:07.5Z"}
    failure = {"kind": "expired", "message": "gave up"}

    good = section_of({**ENTRY, "timings": timings, "usage": {"total_tokens": 7}})
    bad = section_of({**ENTRY, "state": "failed", "text": "half", "failure": failure})

    assert (good.text, good.seconds, good.usage.total_tokens, good.failure) == (ENTRY["text"], 7.5, 7, None)
    assert bad.failure is not None
    assert (bad.text, bad.failure.kind) == ("", FailureKind.EXPIRED)


def test_a_document_without_a_line_has_a_failed_section():
    assert missing_section({"path": "new.csv", "name": "new.csv:7"}).failure is not None
