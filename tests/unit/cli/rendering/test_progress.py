"""The progress of a batch on terminals of any width, and its summary."""

import io
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from threadmill.batch.progress import BatchProgress
from threadmill.batch.spending import Spending
from threadmill.job.result import Failure, ModelUsage, Usage
from threadmill.settings.prices import Prices
from threadmill.store.records.pool import PoolRecord
from threadmill.store.records.worker import FailingEndpoint, merge_failing_endpoints
from threadmill_cli.rendering import progress


def batch_progress(**fields):
    spending = Spending(Prices())
    spending.add([ModelUsage(usage=Usage(total_tokens=1_234_567))])
    return BatchProgress(
        **{"total": 12_000, "spending": spending, "succeeded": 3_000, "running": 20, "seconds": 600.0} | fields
    )


@pytest.fixture
def shown(monkeypatch):
    def show(width, act):
        file = io.StringIO()
        monkeypatch.setattr(
            progress, "err", Console(file=file, width=width, force_terminal=True, color_system=None, highlight=False)
        )
        act()
        return file.getvalue()

    return show


def bar(shown, width, **fields):
    def act():
        with progress.Reporter(12_000) as reporter:
            reporter.update(batch_progress(**fields))

    return [line for line in shown(width, act).splitlines() if "/12,000" in line][-1]


def test_a_narrow_terminal_has_bar_count_percentage_and_time_left(shown):
    for width in (50, 80, 120):
        line = bar(shown, width, failed=1_000)
        assert "━━━" in line
        for part in ("4,000/12,000", "33%", "20:00 left"):
            assert part in line, (width, line)
    assert bar(shown, 30).removeprefix("\x1b[2K").split() == ["3,000/12,000", "25%", "30:00", "left"]


def test_a_wide_terminal_has_all_figures(shown):
    assert "1,000 failed" in bar(shown, 80, failed=1_000)
    line = bar(shown, 120, failed=1_000)
    assert "1,000 failed · 20 running · 6.7/s · 1,234,567 tokens" in line


BUSY = FailingEndpoint(
    endpoint="openai",
    reason="429 Rate limit reached for requests",
    since=datetime(2026, 11, 28, 10, 1, 5, tzinfo=UTC),
    calls=4,
    jobs=20,
)


def test_a_line_below_the_bar_says_what_the_endpoint_refuses(shown):
    def act():
        with progress.Reporter(12_000) as reporter:
            reporter.update(batch_progress(failing_endpoints=(BUSY,)))

    said = "openai: 429 Rate limit reached for requests (20 jobs, 4 failed calls since 10:01:05 UTC)"
    assert said in shown(120, act).splitlines()
    assert "openai: 429 Rate limit reached for" in shown(50, act)


def test_a_line_below_the_bar_says_which_pool_is_shut(shown):
    full = PoolRecord.read("openai", BUSY.since, {"set_concurrent": "8"}, jobs=8, waiting=40, limited=40)

    def act():
        with progress.Reporter(12_000) as reporter:
            reporter.update(batch_progress(awaited_pools=(full,)))

    assert "openai is at its limit of 8 jobs at a time (40 jobs waiting)" in shown(120, act).splitlines()


def test_the_line_goes_when_the_endpoint_answers_again(shown):
    def act():
        with progress.Reporter(12_000) as reporter:
            reporter.update(batch_progress(failing_endpoints=(BUSY,)))
            reporter.update(batch_progress())

    assert "openai" not in shown(120, act)


def test_off_a_terminal_the_line_says_it_too(monkeypatch, capsys):
    monkeypatch.setattr(progress, "_LINE_EVERY_S", 0.0)
    reporter = progress.Reporter(12_000)
    reporter.update(batch_progress(failing_endpoints=(BUSY,)))
    assert "openai: 429 Rate limit reached for requests" in capsys.readouterr().err


def test_errors_of_several_workers_are_shown_once_per_endpoint():
    later = BUSY.model_copy(update={"reason": "503", "since": BUSY.since + timedelta(minutes=1), "jobs": 3, "calls": 9})
    later = later.model_copy(update={"until": BUSY.since + timedelta(minutes=9)})
    elsewhere = later.model_copy(update={"endpoint": "azure"})
    assert merge_failing_endpoints([later, BUSY, elsewhere]) == (
        BUSY.model_copy(update={"jobs": 23, "calls": 9, "until": later.until}),
        elsewhere,
    )


@pytest.mark.parametrize("width", [50, 80, 120])
def test_a_paused_batch_says_so_and_no_time_left(shown, width):
    line = bar(shown, width, paused=True)
    assert "paused" in line
    assert "left" not in line


def test_no_rate_is_shown_before_the_first_answer(shown):
    line = bar(shown, 120, succeeded=0, kept=100)
    assert "100/12,000" in line
    assert "/s" not in line
    assert "left" not in line


def test_a_slow_rate_is_not_rounded_to_nothing(shown):
    assert "3.0/min" in bar(shown, 120, succeeded=3, seconds=60.0)


def summarise(shown, **fields):
    return shown(200, lambda: progress.show_summary(batch_progress(**fields), Path("out.jsonl")))


def test_the_summary_groups_failures_and_says_each_reason_once(shown):
    failures = [(f"{n}.md", Failure(kind="quota", message="429 no credit")) for n in range(1_200)]
    said = summarise(
        shown,
        failed=1_200,
        failures=failures,
        permanent_failures={"quota"},
        stopped="5 jobs in a row failed",
        succeeded=0,
    )
    assert said.count("429 no credit") == 1
    assert "failed: 1,200 documents: quota: 429 no credit (0.md, 1.md, 2.md, ...)" in said
    assert "--retry-failed" not in said
    assert "run the same command again" in said


def test_a_batch_counts_jobs_in_a_lane_that_cost_full_price(shown):
    full_price = Counter({"the server used its service tier default": 1_100, "the lane flex has no capacity now": 1})

    assert "1,101 at full price" in bar(shown, 140, full_price=full_price)
    said = " ".join(summarise(shown, full_price=full_price).split())
    assert "1,100 jobs: the server used its service tier default; 1 job: the lane flex has no capacity now" in said
    assert progress.summary(batch_progress(full_price=full_price), "b", Path("out.jsonl"))["full_price"] == full_price
    assert "full price" not in summarise(shown)


def test_the_summary_of_a_run_that_asked_nothing_has_no_rate(shown):
    assert "/s" not in summarise(shown, succeeded=0, kept=12_000)


def test_json_has_every_failure_and_the_groups():
    failures = [(f"{n}.md", Failure(kind="stuck", message="it hangs", retryable=True)) for n in range(30)]
    found = progress.summary(batch_progress(failed=30, failures=failures), "b", Path("out.jsonl"))
    assert len(found["failures"]) == 30
    assert found["failure_groups"] == [{"kind": "stuck", "message": "it hangs", "retryable": True, "count": 30}]
