"""The client's lists of jobs."""

from collections.abc import Mapping
from datetime import datetime

from threadmill.job.result import FailureKind, JobState
from threadmill.operations.base import Operations
from threadmill.store.jobs.filters import JobFilter
from threadmill.store.jobs.lists import READ_FOR_A_PAGE, JobPage
from threadmill.store.records.dead_letter import DeadLetter
from threadmill.store.records.job import JobRecord, UnreadableJob
from threadmill.stored import warn


class JobListOperations(Operations):
    """The client's lists of jobs."""

    def jobs(
        self,
        *,
        state: JobState | None = None,
        batch: str | None = None,
        endpoint: str | None = None,
        failure: FailureKind | None = None,
        since: datetime | None = None,
        metadata: Mapping[str, str] | None = None,
        tenant: str | None = None,
        until: datetime | None = None,
        limit: int = 50,
    ) -> list[JobRecord]:
        """Returns the jobs that match all the arguments, the latest change of state first.

        Those of a `batch` or a `tenant` are listed by their creation, the latest first; those with a kind of `failure`
        by their end. `since`, `until`: they changed their state at this time or later, and before this time.
        `metadata`: they have all these pairs. `tenant`: they name it. Unreadable jobs are left out and counted by a
        warning in the log. Raises BatchNotFound.
        """
        found = self.store.jobs(JobFilter(state, batch, endpoint, failure, since, metadata, tenant, until), limit)
        if found.unreadable:
            warn(f"unreadable jobs left out of a list: {found.unreadable:,}; `threadmill jobs --unreadable` lists them")
        return found.jobs

    def job_page(
        self,
        *,
        state: JobState | None = None,
        batch: str | None = None,
        endpoint: str | None = None,
        failure: FailureKind | None = None,
        since: datetime | None = None,
        metadata: Mapping[str, str] | None = None,
        tenant: str | None = None,
        until: datetime | None = None,
        limit: int = 50,
        search: str = "",
        cursor: str | None = None,
        most_read: int = READ_FOR_A_PAGE,
    ) -> JobPage:
        """Returns a page of the list that `jobs` returns: its first jobs, or those after `cursor`.

        `cursor`: `next_cursor` of a page that was made with the same arguments. `since` and `until` (excluded) limit
        the time of the last change of state; with `batch` or `tenant`, and without `failure`, the time of creation.
        `search`: the document of the job, its key, its id or a value of its metadata contains this text.
        Reads at most `most_read` jobs, by default 1,000: if few of them match, the page has fewer than `limit`, and
        `next_cursor` goes on. In a list by the change of state, a job that changes it between two pages may be left
        out, or come twice.

        Raises BatchNotFound, InvalidCursor, and ValueError if `limit` or `most_read` is less than 1.
        """
        for name, number in (("limit", limit), ("most_read", most_read)):
            if number < 1:
                raise ValueError(f"`{name}` is {number}: give 1 or more")
        chosen = JobFilter(state, batch, endpoint, failure, since, metadata, tenant, until, search)
        return self.store.job_page(chosen, limit, cursor, most_read)

    def open_jobs(self, tenant: str) -> int:
        """Returns how many jobs that name the tenant are queued or running."""
        return self.store.open_jobs(tenant)

    def unreadable_jobs(
        self,
        *,
        state: JobState | None = None,
        batch: str | None = None,
        since: datetime | None = None,
        limit: int = 50,
    ) -> list[UnreadableJob]:
        """Returns the jobs with a part that is damaged or was written by a newer version.

        Reads every job that matches the arguments. Raises BatchNotFound.
        """
        return self.store.unreadable_jobs(JobFilter(state, batch, since=since), limit)

    def dead_letters(self) -> list[DeadLetter]:
        """Returns the queue messages that no worker could deliver, the newest first; at most a hundred are kept."""
        return self.store.dead_letters()

    def clear_dead_letters(self) -> None:
        """Deletes all dead letters."""
        self.store.clear_dead_letters()
