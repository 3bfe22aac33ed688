"""The producer's lists of jobs, whole or by pages."""

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple, cast

from threadmill.errors import UnreadableRecord
from threadmill.job.result import TERMINAL, JobState
from threadmill.store.connection import CHUNK
from threadmill.store.jobs.filters import JobFilter, may_match
from threadmill.store.jobs.reads import JobReader
from threadmill.store.records.job import JobRecord, UnreadableJob, check_readable
from threadmill.store.records.places import START, Order, Place

#: Records that are read for one page. Fewer jobs may match the filter than the page could hold.
READ_FOR_A_PAGE = 1000


class Listed(NamedTuple):
    """Listed jobs, and the number of jobs left out because they are unreadable."""

    jobs: list[JobRecord]
    unreadable: int


class JobPage(NamedTuple):
    """A page of a list. It may have fewer jobs than were asked for, or none, although more follow."""

    jobs: list[JobRecord]
    next_cursor: str | None  #: of the next page; None after the last
    unreadable: int  #: jobs left out of this page because they are unreadable


class JobListStore(JobReader):
    """Lists jobs. No command reads more than a few hundred at a time."""

    def jobs(self, chosen: JobFilter, limit: int) -> Listed:
        """Returns the jobs that match the filter, the latest first by `chosen.order`.

        Reads until it has found `limit`. Raises BatchNotFound.
        """
        oldest = chosen.since.timestamp() if chosen.since and chosen.order is Order.CHANGED else -math.inf
        found: dict[str, JobRecord] = {}  # a job that changes its state during the search may appear twice
        unreadable = set[str]()
        for place, record in self._with_records(self._newest(chosen, oldest), limit, chosen):
            if isinstance(record, UnreadableRecord):
                unreadable.add(place.id)
            elif record and chosen.matches(record):
                found[place.id] = record
                if len(found) == limit:
                    break
        return Listed(list(found.values()), len(unreadable))

    def job_page(self, chosen: JobFilter, limit: int, cursor: str | None, most_read: int = READ_FOR_A_PAGE) -> JobPage:
        """Returns at most `limit` jobs that match the filter: the first ones, or those that follow the cursor.

        `since` and `until` limit the time by which the jobs are listed: `chosen.order`. `most_read`: records that are
        read at most. Raises BatchNotFound, InvalidCursor.
        """
        after = Place.parse(cursor, chosen.order) if cursor is not None else START
        places = self._newest(chosen, chosen.since.timestamp() if chosen.since else -math.inf, after)
        content = replace(chosen, since=None, until=None)
        found: dict[str, JobRecord] = {}
        unreadable, last = set[str](), after
        for number, (place, record) in enumerate(self._with_records(places, limit + 1, content)):
            if len(found) == limit or number == most_read:
                return JobPage(list(found.values()), last.cursor(chosen.order), len(unreadable))
            last = place
            if isinstance(record, UnreadableRecord):
                unreadable.add(place.id)
            elif record and content.matches(record):
                found[place.id] = record
        return JobPage(list(found.values()), None, len(unreadable))

    def open_jobs(self, tenant: str) -> int:
        """Returns how many jobs that name the tenant are queued or running."""
        [_, number] = self._run("tenants/open", tenant=tenant)
        return int(number)

    def unreadable_jobs(self, chosen: JobFilter, limit: int) -> list[UnreadableJob]:
        """Returns the jobs with an unreadable part, the latest change of state first.

        Only `state`, `batch` and `since` of the filter are used; they need no record. Raises BatchNotFound.
        """
        found: dict[str, UnreadableJob] = {}
        oldest = chosen.since.timestamp() if chosen.since and chosen.order is Order.CHANGED else -math.inf
        listed = self._newest(chosen, oldest)
        while len(found) < limit and (some := {job_id: moment for moment, job_id in islice(listed, CHUNK)}):
            for job_id, fields in zip(some, self._hashes(list(some)), strict=True):
                since = datetime.fromtimestamp(some[job_id], UTC)
                if fields and (damaged := check_readable(job_id, since, fields)):
                    found[job_id] = damaged
        return list(found.values())[:limit]

    def _with_records(
        self, places: Iterator[Place], first: int, chosen: JobFilter
    ) -> Iterator[tuple[Place, JobRecord | UnreadableRecord | None]]:
        """Yields each place with its record, an error, or None if the record is not kept or does not match.

        Reads `first` records, and then more and more.
        """
        size = first
        while some := list(islice(places, min(size, CHUNK))):
            ids = [place.id for place in some]
            read = self._candidates(ids, chosen) if chosen.is_narrow else ids
            records = dict(zip(read, self._records(read), strict=True))
            yield from ((place, records.get(place.id)) for place in some)
            size *= 2

    def _candidates(self, job_ids: Sequence[str], chosen: JobFilter) -> list[str]:
        """Returns the jobs that may match."""
        with self._translate_errors(), self._redis.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hmget(self._keys.record(job_id), "state", "job", "failed_as")
            replies = self._replies(pipe)
        found = zip(job_ids, replies, strict=True)
        return [job_id for job_id, fields in found if fields is None or may_match(chosen, job_id, *fields)]

    def _newest(self, chosen: JobFilter, oldest: float, after: Place = START) -> Iterator[Place]:
        """Yields the places of jobs that may match the filter, the latest first, down to the time `oldest`."""
        if chosen.until:  # jobs that were created later have changed their state later, too
            after = min(after, Place(chosen.until.timestamp(), ""))
        return heapq.merge(*(self._places(key, oldest, after) for key in self._lists(chosen)), reverse=True)

    def _lists(self, chosen: JobFilter) -> list[str]:
        """Returns the keys of the lists that have all jobs of the filter. Raises BatchNotFound."""
        if chosen.batch is not None:
            self.check_batch(chosen.batch)
            failed = chosen.listed_failure is not None
            return [(self._keys.batch_failed if failed else self._keys.batch_jobs)(chosen.batch)]
        if chosen.listed_failure is not None:
            return [self._keys.failed_jobs(chosen.listed_failure)]
        if chosen.tenant is not None:
            parts = ("open", "ended") if chosen.state is None else ("ended" if chosen.state in TERMINAL else "open",)
            return [self._keys.tenant_jobs(chosen.tenant, part) for part in parts]
        return [self._keys.jobs(state) for state in ([chosen.state] if chosen.state else JobState)]

    def _places(self, key: str, oldest: float, after: Place) -> Iterator[Place]:
        """Yields the places of a sorted set that follow `after`."""
        top, skip = after.at, 0
        while True:
            with self._translate_errors():
                found = cast(
                    Any,
                    self._redis.zrange(
                        key, top, oldest, desc=True, byscore=True, withscores=True, offset=skip, num=CHUNK
                    ),
                )
            places = [Place(moment, name) for name, moment in found]
            yield from (place for place in places if place < after)
            if len(places) < CHUNK:
                return
            last = places[-1].at
            skip = sum(place.at == last for place in places) + (skip if last == top else 0)
            top = last
