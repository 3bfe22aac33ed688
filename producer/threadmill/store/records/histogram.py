"""Histograms of jobs: how many of them took so long, or so many tokens. PURE."""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import NamedTuple

#: The greatest durations of a bucket, in seconds: from a tenth of a second to a day.
DURATIONS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 21600, 86400)

#: The greatest numbers of tokens of a bucket.
TOKENS = (*(step * 10**power for power in range(1, 6) for step in (1, 2, 5)), 1_000_000)


class Bucket(NamedTuple):
    """Jobs with a value of more than `above` and at most `to`."""

    above: float
    to: float | None  #: None: the bucket has no upper bound
    jobs: int


def bound(value: float, bounds: Sequence[float]) -> float:
    """Returns the bound of the bucket that a value belongs to; infinity above the last one."""
    at = bisect_left(bounds, value)
    return bounds[at] if at < len(bounds) else math.inf


def histogram(counts: Mapping[float, int], bounds: Sequence[float]) -> tuple[Bucket, ...]:
    """Returns the buckets from the first to the last one that has jobs. `counts`: jobs by the bound of their bucket.

    A bound that this version does not have gets a bucket of its own.
    """
    known = sorted({*bounds, *counts, math.inf})
    buckets = [
        Bucket(above, None if to == math.inf else to, max(0, counts.get(to, 0)))
        for above, to in zip([0.0, *known[:-1]], known, strict=True)
    ]
    filled = [at for at, bucket in enumerate(buckets) if bucket.jobs]
    return tuple(buckets[filled[0] : filled[-1] + 1]) if filled else ()


def quantile(buckets: Sequence[Bucket], share: float) -> float | None:
    """Returns the bound below which this share of the jobs is, 0.5 for half of them; None without jobs.

    It is the bound of a bucket, so that the true value may be less; infinity if it is above all bounds.
    """
    wanted = share * sum(bucket.jobs for bucket in buckets)
    for bucket in buckets:
        wanted -= bucket.jobs
        if bucket.jobs and wanted <= 0:
            return math.inf if bucket.to is None else bucket.to
    return None
