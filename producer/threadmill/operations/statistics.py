"""The client's statistics of jobs that ended."""

from collections.abc import Sequence
from datetime import datetime

from threadmill.job.result import FailureKind
from threadmill.operations.base import Operations
from threadmill.store.fleet.metrics import Fleet
from threadmill.store.fleet.overview import Overview
from threadmill.store.records.stats import BatchStats, HourStats


class StatisticsOperations(Operations):
    """The client's statistics of jobs. Reading them reads no job."""

    def overview(self, since: datetime) -> Overview:
        """Returns how many jobs wait and run, how many ended since then, and what is left to delete and to send."""
        return self.store.overview(since)

    def fleet(self) -> Fleet:
        """Returns the queue, the workers and what is left to do in numbers, as the gateway's metrics show them."""
        return self.store.fleet()

    def batch_stats(self, batch: str) -> BatchStats:
        """Returns how many jobs of a batch ended when, how long they took, and how many tokens they used.

        Raises BatchNotFound.
        """
        return self.store.batch_stats(batch)

    def batch_rates(self, batches: Sequence[str]) -> dict[str, float]:
        """Returns how many jobs of each batch ended per second in the last ten minutes; without those with none."""
        return self.store.batch_rates(batches)

    def stats(self, hours: int = 24) -> tuple[HourStats, ...]:
        """Returns the jobs that ended in each of the last hours, the first hour first; the last one is not over yet.

        Statistics are kept for 14 days; more hours are not returned. Raises ValueError if `hours` is less than 1.
        """
        if hours < 1:
            raise ValueError(f"`hours` is {hours}: give 1 or more")
        return self.store.stats(hours)

    def failure_counts(self, since: datetime) -> dict[FailureKind, int]:
        """Returns how many jobs failed since then with each kind of failure, the most frequent first.

        Jobs that were redriven or deleted do not count; `job_page(failure=..., since=...)` lists the others.
        """
        return self.store.failure_counts(since)
