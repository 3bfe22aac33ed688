"""Reads the statistics of jobs that ended."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

from threadmill.job.result import FailureKind
from threadmill.store.connection import chunks
from threadmill.store.jobs.batches import BatchStore
from threadmill.store.records.stats import HOUR, KEPT_HOURS, BatchStats, HourStats, recent_fields


class StatStore(BatchStore):
    """Reads statistics. No call reads more than one hash for each hour, or one hash."""

    def batch_stats(self, name: str) -> BatchStats:
        """Returns the statistics of a batch. Raises BatchNotFound."""
        self.check_batch(name)
        with self._translate_errors():
            fields = cast(dict[str, str], self._redis.hgetall(self._keys.batch_stats(name)))
        return BatchStats.read(name, fields)

    def batch_rates(self, names: Sequence[str]) -> dict[str, float]:
        """Returns how many jobs of each batch ended per second in the last ten minutes; without those with none."""
        now = self.now()
        fields, found = recent_fields(now), dict[str, float]()
        for some in chunks(names):
            with self._translate_errors(), self._redis.pipeline(transaction=False) as pipe:
                for name in some:
                    pipe.hmget(self._keys.batch_stats(name), fields)
                replies = self._replies(pipe)
            for name, values in zip(some, replies, strict=True):
                counted = {field: value for field, value in zip(fields, values or (), strict=False) if value}
                rate = BatchStats.read(name, counted).rate(now)
                if rate is not None:
                    found[name] = rate
        return found

    def stats(self, hours: int) -> tuple[HourStats, ...]:
        """Returns the statistics of the last hours, the first one first; the last one is not over yet.

        Hours without an end are empty. At most `KEPT_HOURS` are known.
        """
        latest = int(self.now().timestamp() // HOUR.total_seconds())
        numbers = range(latest - min(hours, KEPT_HOURS) + 1, latest + 1)
        with self._translate_errors(), self._redis.pipeline(transaction=False) as pipe:
            for number in numbers:
                pipe.hgetall(self._keys.stats(number))
            replies = self._replies(pipe)
        starts = (datetime.fromtimestamp(number * HOUR.total_seconds(), UTC) for number in numbers)
        return tuple(HourStats.read(start, fields or {}) for start, fields in zip(starts, replies, strict=True))

    def failure_counts(self, since: datetime) -> dict[FailureKind, int]:
        """Returns how many jobs failed since then with each kind, and have not been redriven or deleted."""
        kinds = list(FailureKind)
        with self._translate_errors(), self._redis.pipeline(transaction=False) as pipe:
            for kind in kinds:
                pipe.zcount(self._keys.failed_jobs(kind), since.timestamp(), "+inf")
            numbers = self._replies(pipe)
        counted = {kind: int(number) for kind, number in zip(kinds, numbers, strict=True) if number}
        return dict(sorted(counted.items(), key=lambda each: each[1], reverse=True))
