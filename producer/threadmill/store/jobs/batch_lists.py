"""The producer's lists of batches, by pages."""

import math
from itertools import islice
from typing import NamedTuple, cast

from threadmill.errors import JobNotFound
from threadmill.names import is_name
from threadmill.store.jobs.lists import JobListStore
from threadmill.store.records.batch import BatchRecord
from threadmill.store.records.places import START, Order, Place

#: Names that are read for one page. Fewer batches may match the search than the page could hold.
_NAMES_FOR_A_PAGE = 1000


class BatchPage(NamedTuple):
    """A page of the list of batches. It may have fewer than were asked for, or none, although more follow."""

    batches: list[BatchRecord]
    next_cursor: str | None  #: of the next page; None after the last


class BatchPlace(NamedTuple):
    """A job's place among the jobs of its batch, in the order of their creation."""

    number: int  #: of the first job: 1
    total: int
    previous: str | None  #: the job that was created before
    next: str | None


class BatchListStore(JobListStore):
    """Lists batches. No command reads more than a few hundred at a time."""

    def batch_page(self, limit: int, cursor: str | None, search: str = "") -> BatchPage:
        """Returns at most `limit` batches, the latest change first: the first ones, or those that follow the cursor.

        `search`: their names contain this text, in upper or lower case. Raises InvalidCursor.
        """
        last = START if cursor is None else Place.parse(cursor, Order.BATCHES, is_name)
        names: list[str] = []
        is_last = True
        places = self._places(self._keys.batches, -math.inf, last)
        for number, place in enumerate(islice(places, _NAMES_FOR_A_PAGE + 1)):
            if len(names) == limit or number == _NAMES_FOR_A_PAGE:
                is_last = False
                break
            last = place
            if is_name(place.id) and search.casefold() in place.id.casefold():
                names.append(place.id)
        return BatchPage(self._batches(names), None if is_last else last.cursor(Order.BATCHES))

    def first_job(self, name: str) -> str | None:
        """Returns the job of the batch that was created first; None if it has none. Raises BatchNotFound."""
        self.check_batch(name)
        with self._translate_errors():
            found = cast(list[str], self._redis.zrange(self._keys.batch_jobs(name), 0, 0))
        return found[0] if found else None

    def batch_place(self, name: str, job_id: str) -> BatchPlace:
        """Returns where a job is in its batch. Raises BatchNotFound, JobNotFound if it is not in the batch."""
        self.check_batch(name)
        key = self._keys.batch_jobs(name)
        with self._translate_errors():
            rank = cast(int | None, self._redis.zrank(key, job_id))
            if rank is None:
                raise JobNotFound(job_id)
            around = cast(list[str], self._redis.zrange(key, max(0, rank - 1), rank + 1))
            total = self._redis.zcard(key)
        before, after = around[: min(rank, 1)], around[min(rank, 1) + 1 :]
        return BatchPlace(rank + 1, total, next(iter(before), None), next(iter(after), None))
