"""How `threadmill batch show` tells how fast a batch is."""

from datetime import UTC, datetime, timedelta

from threadmill import JobState
from threadmill.store.records.batch import BatchRecord
from threadmill.store.records.stats import BatchStats
from threadmill_cli.rendering.speed import speed_lines

NOW = datetime(2026, 11, 28, 6, 30, tzinfo=UTC)
FIELDS = {f"ended:{int(NOW.timestamp()) - 60}:60:succeeded": "30", "duration:5": "6", "duration:20": "4"}


def lines(queued: int = 0, paused: bool = False, **fields: str):
    batch = BatchRecord(name="b", changed_at=NOW, jobs={JobState.QUEUED: queued}, paused=paused)
    return dict(speed_lines(batch, BatchStats.read("b", FIELDS | fields), NOW))


def test_an_open_batch_has_a_rate_and_a_time_left():
    assert lines(queued=90) == {
        "rate": "30.0 jobs a minute, about 3m left",
        "durations": "half at most 5 s, 95 % at most 20 s",
    }
    assert lines(queued=90, paused=True)["rate"] == "30.0 jobs a minute"


def test_a_batch_that_ended_or_stands_still_has_no_rate():
    assert "rate" not in lines()
    batch = BatchRecord(name="b", changed_at=NOW, jobs={JobState.QUEUED: 9})
    assert list(speed_lines(batch, BatchStats.read("b", FIELDS), NOW + timedelta(hours=1))) == [
        ("durations", "half at most 5 s, 95 % at most 20 s")
    ]
    assert list(speed_lines(batch, BatchStats.read("b", {}), NOW)) == []


def test_values_above_all_bounds_are_more_than_the_last_one():
    told = lines(**{"duration:inf": "9", "tokens:2000": "1"})
    assert told["durations"] == "half at most 20 s, 95 % more than 86,400 s"
    assert told["per job"] == "half at most 2,000 tokens, 95 % at most 2,000 tokens"
