"""Statistics of jobs that ended: of all jobs by the hour, and of each batch. The script jobs/finish counts them.

A job that is redriven ends again, and counts again. Fields of the hash of an hour:

    ended:STATE:FAILURE:ENDPOINT        jobs; FAILURE is the kind of failure of a failed job, else ''
    usage:KIND:LANE:MODEL               tokens, as in the hash of a batch

Fields of the hash of a batch:

    since                               time of the first end, in seconds since 1970
    ended:START:LENGTH:STATE            jobs that ended in the period from START on, of LENGTH seconds
    duration:BOUND, tokens:BOUND        jobs whose bucket of a histogram has this upper bound
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Self

from pydantic import AwareDatetime, Field

from threadmill.job.model import StoredModel
from threadmill.job.result import TERMINAL, FailureKind, JobResult, JobState, ModelUsage, Usage
from threadmill.store.records.histogram import DURATIONS_S, TOKENS, Bucket, bound, histogram

#: Hours for which the statistics are kept, as lua/include/stats.lua says.
KEPT_HOURS = 14 * 24

HOUR = timedelta(hours=1)

#: The time for which the rate of a batch is calculated.
RECENT = timedelta(minutes=10)

#: The lengths of the periods in which the jobs of a batch are counted, in seconds.
_LENGTHS_S = (60, 600, 3600, 86400)


class Period(StoredModel):
    """The jobs of a batch that ended in a period of time, by state."""

    start: AwareDatetime
    length_s: int
    jobs: dict[JobState, int]


class BatchStats(StoredModel):
    """What has become of a batch's jobs over time, how long they took, and how many tokens they used.

    The durations are from the first claim of a job to its end; a job that never started has none.
    """

    name: str
    periods: tuple[Period, ...] = ()  #: in the order of time; a period without an end is left out
    durations: tuple[Bucket, ...] = ()  #: jobs by their duration in seconds
    tokens: tuple[Bucket, ...] = ()  #: jobs by their tokens; those without any are left out

    def rate(self, now: datetime) -> float | None:
        """Returns how many jobs ended per second in the last ten minutes; None if none did.

        Counts whole periods, which may have begun earlier.
        """
        recent = [period for period in self.periods if period.start + timedelta(seconds=period.length_s) > now - RECENT]
        if not recent:
            return None
        elapsed_s = max(1.0, (now - recent[0].start).total_seconds())
        return sum(sum(period.jobs.values()) for period in recent) / elapsed_s

    @classmethod
    def read(cls, name: str, fields: Mapping[str, str]) -> Self:
        """Parses the hash. Fields that this version does not know, and damaged ones, are ignored."""
        periods: dict[tuple[int, int], dict[JobState, int]] = defaultdict(dict)
        buckets: dict[str, dict[float, int]] = {"duration": {}, "tokens": {}}
        for field, text in fields.items():
            try:
                match field.split(":"):
                    case ["ended", start, length, state]:
                        periods[int(start), int(length)][JobState(state)] = int(text)
                    case ["duration" | "tokens" as what, to]:
                        buckets[what][float(to)] = int(text)
            except ValueError:
                continue
        return cls(
            name=name,
            periods=tuple(
                Period(start=datetime.fromtimestamp(start, UTC), length_s=length, jobs=jobs)
                for (start, length), jobs in sorted(periods.items())
            ),
            durations=histogram(buckets["duration"], DURATIONS_S),
            tokens=histogram(buckets["tokens"], TOKENS),
        )


class HourStats(StoredModel):
    """The jobs that ended in an hour."""

    start: AwareDatetime
    endpoints: dict[str, dict[JobState, int]] = Field(default={})  #: jobs by endpoint and state; '': it is not known
    failures: dict[FailureKind, int] = Field(default={})  #: failed jobs by kind, the most frequent first
    usage_by_model: tuple[ModelUsage, ...] = ()

    @property
    def jobs(self) -> dict[JobState, int]:
        """The jobs by state; states without jobs are left out."""
        sums = Counter[JobState]()
        for counts in self.endpoints.values():
            sums.update(counts)
        return {state: sums[state] for state in JobState if sums[state]}

    @classmethod
    def read(cls, start: datetime, fields: Mapping[str, str]) -> Self:
        """Parses the hash. Fields that this version does not know, and damaged ones, are ignored."""
        endpoints: dict[str, Counter[JobState]] = defaultdict(Counter)
        failures = Counter[FailureKind]()
        spent: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
        for field, text in fields.items():
            try:
                number = int(text)
                match field.split(":", 3):
                    case ["ended", state, failure, endpoint]:
                        endpoints[endpoint][JobState(state)] += number
                        if failure:
                            failures[FailureKind(failure)] += number
                    case ["usage", kind, lane, model] if kind in Usage.model_fields:
                        spent[model, lane][kind] = number
            except ValueError:
                continue
        return cls(
            start=start,
            endpoints={name: dict(endpoints[name]) for name in sorted(endpoints) if endpoints[name]},
            failures=dict(failures.most_common()),
            usage_by_model=tuple(
                ModelUsage(model=model or None, lane=lane or None, usage=Usage.model_validate(usage))
                for (model, lane), usage in sorted(spent.items())
            ),
        )


def recent_fields(now: datetime) -> list[str]:
    """Returns the fields of a batch's hash that its rate needs."""
    moment, recent_s = int(now.timestamp()), int(RECENT.total_seconds())
    return [
        f"ended:{start}:{length_s}:{state}"
        for length_s in _LENGTHS_S
        for start in range((moment - recent_s) // length_s * length_s, moment + 1, length_s)
        for state in sorted(TERMINAL)
    ]


def usage_fields(result: JobResult) -> dict[str, int]:
    """Returns the tokens of a job as fields of a hash."""
    return {
        f"usage:{kind}:{part.lane or ''}:{part.model or ''}": tokens
        for part in result.usage_by_model
        for kind, tokens in part.usage.model_dump(include=set(Usage.model_fields)).items()
        if tokens > 0
    }


def hour_counts(result: JobResult) -> dict[str, int]:
    """Returns what the end of a job adds to the fields of its hour."""
    kind = failure_of(result) or ""
    return {f"ended:{result.state}:{kind}:{result.endpoint or ''}": 1, **usage_fields(result)}


def batch_stats(result: JobResult) -> dict[str, int]:
    """Returns what the end of a job adds to the histograms of its batch."""
    counted, timings, tokens = dict[str, int](), result.timings, result.usage.total_tokens
    if timings.started_at is not None:
        duration_s = (timings.finished_at - timings.started_at).total_seconds()
        counted[f"duration:{bound(duration_s, DURATIONS_S):.9g}"] = 1
    if tokens > 0:
        counted[f"tokens:{bound(tokens, TOKENS):.9g}"] = 1
    return counted


def failure_of(result: JobResult) -> FailureKind | None:
    """Returns why a job failed; None if it did not fail."""
    return result.failure.kind if result.state is JobState.FAILED and result.failure else None
