"""What the pages of batches show."""

from datetime import UTC, datetime, timedelta

import pytest

from threadmill import JobRecord, JobState, PromptJob
from threadmill.job_facts import took_s
from threadmill.settings.prices import Prices
from threadmill.store.records.batch import BatchRecord
from threadmill.store.records.histogram import Bucket
from threadmill.store.records.stats import BatchStats
from threadmill_gateway.dashboard.batches.view import (
    BatchView,
    duration_chart,
    name_of,
    progress_chart,
    token_chart,
)

NOW = datetime(2026, 11, 28, 6, tzinfo=UTC)
START = int(NOW.timestamp())


def view(rate: float | None = 0.5, **fields) -> BatchView:
    jobs = {JobState.QUEUED: 50, JobState.RUNNING: 10, JobState.SUCCEEDED: 40}
    return BatchView.of(BatchRecord(name="b", changed_at=NOW, **{"jobs": jobs, **fields}), rate, Prices())


def stats(ended: dict[tuple[int, int], int]) -> BatchStats:
    return BatchStats.read("b", {f"ended:{START + at}:{length}:succeeded": str(n) for (at, length), n in ended.items()})


def record(**fields) -> JobRecord:
    return JobRecord(id="j-1", state=JobState.QUEUED, job=PromptJob(**{"prompt": "x " * 100, **fields}), created_at=NOW)


def test_the_time_left_is_that_of_the_open_jobs_at_the_rate():
    assert (view().per_minute, view().left_s, view().record.ended, view().record.expected) == (30, 120, 40, 100)
    assert view(paused=True).left_s is None
    assert (view(rate=None).per_minute, view(rate=None).left_s) == (None, None)
    assert view(jobs={JobState.SUCCEEDED: 40}).per_minute is None, "all have ended"


def test_documents_that_are_not_enqueued_yet_count_as_not_done():
    assert view(documents=500).record.expected == 500
    assert view(documents=500).left_s == 920, "they take time, too"


def test_limits_of_spending():
    assert view().budgets == []
    assert view(max_cost=2.5, max_tokens=100).budgets == [("cost", 0.0, 2.5), ("tokens", 0, 100)]


def test_a_chart_has_a_bar_for_each_minute_also_for_those_without_an_end():
    chart = progress_chart(stats({(0, 60): 4, (240, 60): 2}))
    assert [rect.height for rect in chart.rects] == [140, 70]
    assert chart.rects[1].x > 4 * chart.rects[0].width
    assert len(chart.labels) == 2


@pytest.mark.parametrize("length", [60, 600, 3600])
def test_a_chart_has_at_most_sixty_bars_and_all_jobs(length):
    ended = {(at * length, length): 1 for at in range(500)}
    chart = progress_chart(stats(ended))
    assert len(chart.rects) <= 62
    assert sum(int(rect.title.split(": ")[1].split(" ")[0]) for rect in chart.rects) == 500


def test_periods_of_different_lengths_are_added_up_in_the_longest():
    chart = progress_chart(stats({(0, 60): 1, (60, 60): 1, (600, 600): 4}))
    assert [rect.height for rect in chart.rects] == [70, 140]


def test_a_batch_without_an_end_has_no_chart():
    assert progress_chart(stats({})).rects == ()
    assert duration_chart(()).rects == ()


def test_buckets_are_named_by_their_bound():
    durations = [Bucket(0, 0.5, 1), Bucket(60, 120, 1), Bucket(3600, 7200, 1), Bucket(86400, None, 1)]
    assert [each.text for each in duration_chart(durations).labels] == ["≤ 0.5 s", "≤ 2 min", "≤ 2 h", "> 1 d"]
    tokens = [Bucket(0, 200, 1), Bucket(1000, 2000, 1), Bucket(10**6, None, 1)]
    assert [each.text for each in token_chart(tokens).labels] == ["≤ 200", "≤ 2k", "> 1M"]


def test_a_job_is_named_by_its_document_its_prompt_or_its_key():
    assert name_of(record(document="a.md"), hides_prompts=True) == "a.md"
    assert name_of(record(key="k"), hides_prompts=False).endswith("x…")
    assert len(name_of(record(), hides_prompts=False)) <= 81
    assert name_of(record(key="k"), hides_prompts=True) == "k"
    assert name_of(record(), hides_prompts=True) == "j-1"


def test_the_time_a_job_took_or_has_been_taking():
    assert took_s(record(), NOW) is None
    started = record().model_copy(update={"started_at": NOW - timedelta(seconds=5)})
    assert took_s(started, NOW) == 5
    assert took_s(started.model_copy(update={"finished_at": NOW - timedelta(seconds=2)}), NOW) == 3
