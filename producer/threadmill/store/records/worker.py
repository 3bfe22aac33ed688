"""The records that workers publish about themselves, and about endpoints without usable replies."""

from collections.abc import Iterable

from pydantic import AwareDatetime

from threadmill.job.model import Redacted, StoredModel

#: A clock that differs from Redis' clock by more seconds than this is reported.
SKEW_LIMIT_S = 1.0


class FailingEndpoint(StoredModel):
    """An endpoint that refuses, fails or cannot be reached, as seen by the jobs of one worker."""

    endpoint: str
    reason: Redacted  #: the reason of the latest failed call, with the server's status
    since: AwareDatetime
    until: AwareDatetime | None = None  #: when the first waiting job gives up; None: not known
    calls: int = 1  #: failed calls in a row, the maximum of all jobs
    jobs: int = 1  #: number of jobs that wait for the endpoint

    def __add__(self, other: "FailingEndpoint") -> "FailingEndpoint":
        """Merges both into one, with the reason of the one that began first."""
        first = min(self, other, key=lambda each: each.since)
        until = min(filter(None, (self.until, other.until)), default=None)
        summed = {"calls": max(self.calls, other.calls), "jobs": self.jobs + other.jobs, "until": until}
        return first.model_copy(update=summed)


def merge_failing_endpoints(found: Iterable[FailingEndpoint]) -> tuple[FailingEndpoint, ...]:
    """Merges the outages that several jobs or workers report, by endpoint."""
    sums: dict[str, FailingEndpoint] = {}
    for each in found:
        sums[each.endpoint] = sums[each.endpoint] + each if each.endpoint in sums else each
    return tuple(sums.values())


class Worker(StoredModel):
    """What a worker process announces about itself."""

    name: str
    seen_at: AwareDatetime  #: by Redis' clock, as `started_at` is
    concurrency: int
    jobs: int  #: running now
    endpoints: tuple[str, ...]  #: endpoints whose key it has, or that need no key
    started_at: AwareDatetime | None = None
    version: str | None = None
    failing_endpoints: tuple[FailingEndpoint, ...] = ()  #: one per endpoint that gives its jobs no usable replies
    format: int = 1  #: the highest FORMAT that it knows
    left_alone: int = 0  #: jobs that it did not run because they need a newer version
    clock_skew_s: float = 0.0  #: how far its machine's clock is ahead of Redis' clock; negative: behind
    memory_bytes: int | None = None  #: resident memory of the process; None: not known
    is_consuming: bool | None = None  #: whether Celery's consumer takes messages: if not, it is deaf; None: not known
