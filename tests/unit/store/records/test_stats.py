"""What the end of a job adds to the statistics, and how they are read."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from threadmill import Failure, FailureKind, JobResult, JobState
from threadmill.job.result import ModelUsage, Timings, Usage
from threadmill.store.records.histogram import Bucket
from threadmill.store.records.stats import BatchStats, HourStats, batch_stats, hour_counts, recent_fields

NOW = datetime(2026, 11, 28, 6, 30, tzinfo=UTC)
USAGE = Usage(prompt_tokens=100, completion_tokens=20, total_tokens=120)


def result(state: JobState = JobState.SUCCEEDED, started: bool = True, **fields) -> JobResult:
    started_at = NOW - timedelta(seconds=3) if started else None
    timings = Timings(created_at=NOW - timedelta(hours=1), started_at=started_at, finished_at=NOW)
    return JobResult(job_id="j", state=state, timings=timings, endpoint="davinci", **fields)


def failed(kind: FailureKind, state: JobState = JobState.FAILED) -> JobResult:
    return result(state, failure=Failure(kind=kind, message="no"))


def test_an_hour_counts_the_end_by_state_failure_and_endpoint_and_the_tokens():
    assert hour_counts(result(model="m", usage=USAGE)) == {
        "ended:succeeded::davinci": 1,
        "usage:prompt_tokens::m": 100,
        "usage:completion_tokens::m": 20,
        "usage:total_tokens::m": 120,
    }
    assert hour_counts(failed(FailureKind.QUOTA)) == {"ended:failed:quota:davinci": 1}
    assert hour_counts(failed(FailureKind.CANCELLED, JobState.CANCELLED)) == {"ended:cancelled::davinci": 1}
    assert hour_counts(result().model_copy(update={"endpoint": None})) == {"ended:succeeded::": 1}


def test_a_batch_counts_the_duration_from_the_first_claim_and_the_tokens():
    assert batch_stats(result(usage=USAGE)) == {"duration:5": 1, "tokens:200": 1}
    assert batch_stats(result(JobState.CANCELLED, started=False)) == {}
    million = Usage(total_tokens=1_000_000)
    assert batch_stats(result(usage=million))["tokens:1000000"] == 1
    assert batch_stats(result(usage=million + USAGE))["tokens:inf"] == 1


def test_an_hour_is_read_with_names_that_have_colons():
    read = HourStats.read(
        NOW,
        {
            "ended:succeeded::a:b": "3",
            "ended:failed:quota:a:b": "1",
            "ended:failed:moonstruck:c": "2",
            "usage:total_tokens:batch:m:1": "7",
        },
    )
    assert read.endpoints == {"a:b": {JobState.SUCCEEDED: 3, JobState.FAILED: 1}, "c": {JobState.FAILED: 2}}
    assert read.jobs == {JobState.SUCCEEDED: 3, JobState.FAILED: 3}
    assert list(read.failures.items()) == [("moonstruck", 2), (FailureKind.QUOTA, 1)]
    assert read.usage_by_model == (ModelUsage(model="m:1", lane="batch", usage=Usage(total_tokens=7)),)


def test_damaged_and_unknown_fields_are_ignored():
    fields = {"": "1", "ended:a": "x", "ended:sleeping::e": "1", "usage:x::m": "1", "ended:succeeded::e": "many"}
    assert HourStats.read(NOW, fields) == HourStats(start=NOW)
    damaged = {"since": "now", "ended:1:60:sleeping": "1", "ended:x:60:failed": "1", "duration:long": "1", "mood": "1"}
    assert BatchStats.read("b", damaged | {"duration:5": "many", "ended:1:1": "1"}).durations == ()


def test_a_batch_is_read_in_the_order_of_time():
    start = int(NOW.timestamp())
    read = BatchStats.read(
        "b",
        {
            f"ended:{start}:60:succeeded": "4",
            f"ended:{start - 60}:60:failed": "1",
            f"ended:{start}:60:failed": "2",
            "duration:5": "6",
            "duration:inf": "1",
            "tokens:1000": "4",
        },
    )
    assert [(period.start, period.jobs) for period in read.periods] == [
        (NOW - timedelta(minutes=1), {JobState.FAILED: 1}),
        (NOW, {JobState.SUCCEEDED: 4, JobState.FAILED: 2}),
    ]
    assert (read.durations[0], read.durations[-1]) == (Bucket(2, 5, 6), Bucket(86_400, None, 1))
    assert read.tokens == (Bucket(500, 1000, 4),)
    assert json.loads(read.model_dump_json())["durations"][-1] == [86_400, None, 1]


@pytest.mark.parametrize(
    ("ended", "rate"),
    [
        ({}, None),
        ({(-3600, 60): 5}, None),
        ({(-3600, 60): 5, (-60, 60): 60}, 1.0),
        ({(-660, 60): 120, (-60, 60): 60}, 1.0),
        ({(-600, 60): 120, (-60, 60): 60}, 180 / 600),
        ({(-300, 60): 120, (-60, 60): 60}, 180 / 300),
        ({(0, 60): 3}, 3.0),
        ({(-1800, 3600): 18}, 18 / 1800),
    ],
)
def test_the_rate_is_that_of_the_last_ten_minutes(ended, rate):
    start = int(NOW.timestamp())
    fields = {f"ended:{start + at}:{length}:succeeded": str(number) for (at, length), number in ended.items()}
    assert BatchStats.read("b", fields).rate(NOW) == (None if rate is None else pytest.approx(rate))


def test_the_rate_needs_few_fields():
    start, fields = int(NOW.timestamp()) // 60 * 60, recent_fields(NOW)
    assert f"ended:{start}:60:succeeded" in fields
    assert f"ended:{start - 540}:60:failed" in fields
    assert f"ended:{start // 86400 * 86400}:86400:cancelled" in fields
    assert len(fields) < 60
