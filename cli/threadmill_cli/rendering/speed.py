"""Shows how fast a batch is, and how long its jobs took. PURE."""

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from threadmill.store.records.batch import BatchRecord
from threadmill.store.records.histogram import Bucket, quantile
from threadmill.store.records.stats import BatchStats
from threadmill_cli.rendering.times import show_span

_MINUTE_S = 60


def speed_lines(batch: BatchRecord, stats: BatchStats, now: datetime) -> Iterator[tuple[str, str]]:
    """Yields labels and texts: the rate of the last ten minutes with the time left, and durations and tokens."""
    rate = stats.rate(now)
    if rate and batch.open:
        left_s = batch.left_s(rate)
        left = "" if left_s is None else f", about {show_span(timedelta(seconds=left_s))} left"
        yield "rate", f"{rate * _MINUTE_S:,.1f} jobs a minute{left}"
    if stats.durations:
        yield "durations", _typical(stats.durations, lambda seconds: f"{seconds:,g} s")
    if stats.tokens:
        yield "per job", _typical(stats.tokens, lambda tokens: f"{tokens:,.0f} tokens")


def _typical(buckets: Sequence[Bucket], show: Callable[[float], str]) -> str:
    """Returns the bounds below which half of the jobs and 95 % of them are."""
    parts = []
    for share, label in ((0.5, "half"), (0.95, "95 %")):
        found = quantile(buckets, share) or 0.0
        if found < math.inf:
            parts.append(f"{label} at most {show(found)}")
        else:
            parts.append(f"{label} more than {show(buckets[-1].above)}")
    return ", ".join(parts)
