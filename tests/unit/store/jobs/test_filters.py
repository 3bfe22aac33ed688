"""Which jobs `threadmill jobs` lists, and what it reads of a worker's saved progress."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis.strategies import characters
from hypothesis.strategies import text as texts

from threadmill import Failure, FailureKind, JobRecord, JobState, PromptJob
from threadmill.job.progress import ProgressSummary
from threadmill.store.jobs.filters import JobFilter, may_match
from threadmill.store.records.packing import pack_job
from threadmill.store.records.places import Order

NOW = datetime(2026, 11, 28, 6, tzinfo=UTC)


def record(state: JobState = JobState.SUCCEEDED, failure: FailureKind | None = None, **fields) -> JobRecord:
    job = PromptJob(prompt="Well?", endpoint="davinci", batch="notes", metadata={"order": "4711"})
    begun = JobRecord(id="j", state=state, job=job, created_at=NOW - timedelta(hours=3), **fields)
    reason = Failure(kind=failure, message="no") if failure else None
    return begun.model_copy(update={"result": begun.ended(state, reason, NOW)})


@pytest.mark.parametrize(
    ("chosen", "listed"),
    [
        (JobFilter(), True),
        (JobFilter(state=JobState.SUCCEEDED, batch="notes", endpoint="davinci"), True),
        (JobFilter(state=JobState.FAILED), False),
        (JobFilter(batch="other"), False),
        (JobFilter(endpoint="openai"), False),
        (JobFilter(failure=FailureKind.QUOTA), False),
        (JobFilter(metadata={"order": "4711"}), True),
        (JobFilter(metadata={"order": "4712"}), False),
        (JobFilter(metadata={"customer": "4711"}), False),
    ],
)
def test_a_filter_lists_jobs_that_fit_all_of_it(chosen, listed):
    assert chosen.matches(record()) is listed


def test_failures_are_filtered_by_kind():
    failed = record(JobState.FAILED, FailureKind.QUOTA)
    assert JobFilter(failure=FailureKind.QUOTA).matches(failed)
    assert not JobFilter(failure=FailureKind.STUCK).matches(failed)


def test_since_counts_from_the_last_change_of_state():
    finished = record(finished_at=NOW - timedelta(hours=1))
    assert JobFilter(since=NOW - timedelta(hours=2)).matches(finished)
    assert not JobFilter(since=NOW - timedelta(minutes=30)).matches(finished)


def test_progress_shows_the_tools_that_a_run_still_waits_for():
    calls = '[{"id": "a", "name": "stock", "arguments": "{}"}, {"id": "b", "name": "price", "arguments": "{}"}]'
    seen = f"""{{"id": "r", "status": "requires_action", "calls": {calls}}}"""
    saved = f"""{{"deadline_at": 1, "run": {{"seen": {seen}, "started_at": 1, "outputs": {{"a": "7"}}}}}}"""
    assert ProgressSummary.model_validate_json(saved).pending_tools == ["price"]


def test_known_parts_of_progress_from_another_version_are_read():
    assert ProgressSummary.model_validate_json('{"deadline_at": 1, "a_field_of_tomorrow": []}').run is None


@pytest.mark.parametrize(
    ("chosen", "listed", "order"),
    [
        (JobFilter(), None, Order.CHANGED),
        (JobFilter(failure=FailureKind.QUOTA), FailureKind.QUOTA, Order.CHANGED),
        (JobFilter(failure=FailureKind.QUOTA, batch="b", tenant="t"), FailureKind.QUOTA, Order.CHANGED),
        (JobFilter(failure=FailureKind.QUOTA, state=JobState.FAILED), FailureKind.QUOTA, Order.CHANGED),
        (JobFilter(failure=FailureKind.QUOTA, state=JobState.CANCELLED), None, Order.CHANGED),
        (JobFilter(failure=FailureKind.CANCELLED), None, Order.CHANGED),
        (JobFilter(failure=FailureKind.CANCELLED, batch="b"), None, Order.CREATED),
        (JobFilter(tenant="t"), None, Order.CREATED),
    ],
)
def test_failed_jobs_are_listed_by_their_end(chosen, listed, order):
    assert (chosen.listed_failure, chosen.order) == (listed, order)


@pytest.mark.parametrize(
    ("chosen", "may"),
    [
        (JobFilter(), True),
        (JobFilter(state=JobState.QUEUED), True),
        (JobFilter(state=JobState.FAILED), False),
        (JobFilter(search="MINUTES-4"), True),
        (JobFilter(search="minutes-5"), False),
        (JobFilter(search="J-17"), True),
        (JobFilter(search='say "no"'), True),
        (JobFilter(metadata={"order": "4711"}), True),
        (JobFilter(metadata={"order": "4712"}), False),
        (JobFilter(metadata={"note": "日報"}), True),
    ],
)
@pytest.mark.parametrize("length", [1, 1000])
def test_a_record_that_may_not_match_is_not_parsed(chosen, may, length):
    job = PromptJob(prompt="Why?" * length, document="Minutes-4.md", metadata={"order": "4711", "note": "日報"})
    assert may_match(chosen, "j-17", "queued", pack_job(job)) is may


@pytest.mark.parametrize("job", ["", "{", "zlib:x", '{"prompt": "\\u0041"}'])
def test_a_record_that_cannot_be_judged_is_parsed(job):
    assert may_match(JobFilter(search="minutes"), "j", "queued", job) is (job != "{")
    assert may_match(JobFilter(), "j", None, None)


LETTERS = characters(exclude_categories=["Cs"])


@given(document=texts(LETTERS), search=texts(LETTERS, max_size=3), value=texts(LETTERS, min_size=1, max_size=20))
def test_what_matches_is_always_parsed(document, search, value):
    job = PromptJob(prompt="?", document=document, metadata={"a": value}, key="k")
    fields = {"job": pack_job(job), "state": "queued"}
    record = JobRecord.read("j-17", fields | {"created_at": "1"})
    for chosen in (JobFilter(search=search), JobFilter(metadata=record.job.metadata)):
        assert may_match(chosen, "j-17", fields["state"], fields["job"]) or not chosen.matches(record)


def test_a_record_that_failed_otherwise_is_not_parsed():
    chosen = JobFilter(batch="b", failure=FailureKind.QUOTA)
    job = pack_job(PromptJob(prompt="?"))
    found = [may_match(chosen, "j", "failed", job, kind) for kind in ("quota", "stuck", None)]
    assert found == [True, False, True], "an older version did not note the kind"
    assert chosen.is_narrow
    assert not JobFilter(failure=FailureKind.QUOTA).is_narrow, "its list has no others"
