"""What the pages of batches show. PURE."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from threadmill.job.result import TERMINAL, JobState
from threadmill.settings.prices import Cost, Prices, cost
from threadmill.store.records.batch import BatchRecord
from threadmill.store.records.histogram import Bucket
from threadmill.store.records.job import JobRecord
from threadmill.store.records.stats import BatchStats
from threadmill_gateway.dashboard.charts import Chart, Part, bars

#: Bars in the chart of a batch's progress.
_MOST_COLUMNS = 60

#: Labels that have room below a chart.
_MOST_LABELS = 8

_MINUTE_S = 60

#: Characters of a prompt that name a job without a document.
_NAME_LENGTH = 80


@dataclass(frozen=True)
class BatchView:
    """A batch in the list, and at the top of its own page."""

    record: BatchRecord
    cost: Cost
    per_minute: float | None  #: jobs that ended, in the last ten minutes; None: none did
    left_s: float | None  #: until all jobs have ended, at this rate; None: unknown

    @classmethod
    def of(cls, record: BatchRecord, rate: float | None, prices: Prices) -> Self:
        """`rate`: jobs that ended per second."""
        return cls(
            record=record,
            cost=cost(record.usage_by_model, prices),
            per_minute=rate * _MINUTE_S if rate and record.open else None,
            left_s=record.left_s(rate),
        )

    @property
    def budgets(self) -> Sequence[tuple[str, float, float]]:
        """Its limits of spending: `cost` or `tokens`, what is spent, and the most that may be."""
        found: list[tuple[str, float, float]] = []
        if self.record.max_cost is not None:
            found.append(("cost", self.cost.amount or 0.0, self.record.max_cost))
        if self.record.max_tokens is not None:
            found.append(("tokens", self.record.usage.total_tokens, self.record.max_tokens))
        return found


def progress_chart(stats: BatchStats) -> Chart:
    """Returns the jobs that ended over time, from the first end to the last."""
    if not stats.periods:
        return Chart(())
    first = int(stats.periods[0].start.timestamp())
    last = max(int(each.start.timestamp()) + each.length_s for each in stats.periods)
    step = _step(last - first, max(each.length_s for each in stats.periods))
    first = first // step * step
    counts = [dict[JobState, int]() for _ in range(-(-(last - first) // step))]
    for period in stats.periods:
        column = counts[(int(period.start.timestamp()) - first) // step]
        for state, number in period.jobs.items():
            column[state] = column.get(state, 0) + number
    starts = [datetime.fromtimestamp(first + step * number, UTC).astimezone() for number in range(len(counts))]
    columns = [
        [
            Part(column.get(state, 0), state, f"{start:%m-%d %H:%M}: {column.get(state, 0):,} {state}")
            for state in sorted(TERMINAL, reverse=True)
        ]
        for start, column in zip(starts, counts, strict=True)
    ]
    ends = [f"{starts[0]:%m-%d %H:%M}", *[""] * (len(starts) - 2), f"{starts[-1]:%m-%d %H:%M}"][: len(starts)]
    return bars(columns, ends)


def _step(span_s: int, longest_s: int) -> int:
    """Returns the length of a bar: a multiple of the longest period, so that no period belongs to two."""
    step = longest_s
    while span_s / step > _MOST_COLUMNS:
        step += longest_s
    return step


def duration_chart(buckets: Sequence[Bucket]) -> Chart:
    return _histogram(buckets, {bucket: _duration(bucket.to) for bucket in buckets})


def token_chart(buckets: Sequence[Bucket]) -> Chart:
    return _histogram(buckets, {bucket: _tokens(bucket.to) for bucket in buckets})


def _histogram(buckets: Sequence[Bucket], names: Mapping[Bucket, str]) -> Chart:
    if not buckets:
        return Chart(())
    columns = [[Part(bucket.jobs, "bar", f"{names[bucket]}: {bucket.jobs:,}")] for bucket in buckets]
    every = -(-len(buckets) // _MOST_LABELS)
    return bars(columns, [names[bucket] if at % every == 0 else "" for at, bucket in enumerate(buckets)])


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "> 1 d"
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"≤ {seconds / length:g} {unit}"
    return f"≤ {seconds:g} s"


def _tokens(tokens: float | None) -> str:
    if tokens is None:
        return "> 1M"
    return f"≤ {tokens / 1000:g}k" if tokens >= 1000 else f"≤ {tokens:g}"


def name_of(record: JobRecord, *, hides_prompts: bool) -> str:
    """Returns the name of a job's document; without one, its idempotency key or the beginning of its prompt."""
    if record.job.document:
        return record.job.document
    prompt = " ".join(source_of(record).split())
    if prompt and not hides_prompts:
        return prompt if len(prompt) <= _NAME_LENGTH else f"{prompt[:_NAME_LENGTH].rstrip()}…"
    return record.job.key or record.id


def source_of(record: JobRecord) -> str:
    """Returns the text that the model was asked about."""
    return "\n\n".join(message.text for message in record.job.conversation if message.text)
