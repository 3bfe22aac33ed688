"""Which jobs a list shows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import AwareDatetime

from threadmill.job.result import FailureKind, JobState
from threadmill.store.records.job import JobRecord
from threadmill.store.records.packing import unpack
from threadmill.store.records.places import Order


@dataclass(frozen=True)
class JobFilter:
    """Selects jobs that match all the given fields."""

    state: JobState | None = None
    batch: str | None = None
    endpoint: str | None = None
    failure: FailureKind | None = None
    since: AwareDatetime | None = None  #: changed their state at this time or later
    metadata: Mapping[str, str] | None = None  #: have all these pairs
    tenant: str | None = None
    until: AwareDatetime | None = None  #: changed their state before this time
    search: str = ""  #: see `JobRecord.is_named`

    @property
    def listed_failure(self) -> FailureKind | None:
        """The failure, if all jobs of the filter are in the list of jobs that failed with it.

        Cancelled jobs have a failure, too, but no such list.
        """
        is_listed = self.state in (None, JobState.FAILED) and self.failure != FailureKind.CANCELLED
        return self.failure if is_listed else None

    @property
    def is_narrow(self) -> bool:
        """Whether many of the listed jobs may not match, as `may_match` can tell."""
        is_narrowed_by_state = self.state is not None and self.order is Order.CREATED
        is_narrowed_by_failure = self.batch is not None and self.listed_failure is not None
        return bool(self.search or self.metadata) or is_narrowed_by_state or is_narrowed_by_failure

    @property
    def order(self) -> Order:
        """The order of a list of these jobs."""
        by_creation = (self.batch is not None or self.tenant is not None) and self.listed_failure is None
        return Order.CREATED if by_creation else Order.CHANGED

    def matches(self, record: JobRecord) -> bool:
        failure = record.result.failure if record.result else None
        return (
            self.state in (None, record.state)
            and self.batch in (None, record.job.batch)
            and self.endpoint in (None, record.job.endpoint, record.endpoint)
            and (self.failure is None or (failure is not None and failure.kind == self.failure))
            and (self.since is None or record.changed_at >= self.since)
            and (self.until is None or record.changed_at < self.until)
            and self.tenant in (None, record.job.tenant)
            and (self.metadata or {}).items() <= record.job.metadata.items()
            and (not self.search or record.is_named(self.search))
        )


def may_match(
    chosen: JobFilter, job_id: str, state: str | None, packed_job: str | None, failed_as: str | None = None
) -> bool:
    """Whether a record may match the filter, by some of its fields as stored; True if only the whole record can tell.

    To read the whole record takes ten times as long.
    """
    if chosen.state is not None and state is not None and state != chosen.state:
        return False
    if chosen.failure is not None and failed_as is not None and failed_as != chosen.failure:
        return False
    wanted = [chosen.search, *(chosen.metadata or {}).values()]
    if any(each != json.dumps(each, ensure_ascii=False)[1:-1] for each in wanted):
        return True  # JSON holds it in another form
    try:
        job = unpack(packed_job or "")
    except ValueError:
        return True
    if not job or "\\u" in job:
        return True
    is_found = chosen.search.casefold() in f"{job_id} {job}".casefold()
    return is_found and all(value in job for value in wanted[1:])
