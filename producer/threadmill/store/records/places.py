"""Places in a list of jobs or batches, and cursors: where the next page of the list begins."""

import math
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple, Self

from threadmill.errors import InvalidCursor
from threadmill.names import is_job_id

_CURSOR = re.compile(r"(?P<order>[a-z]+) (?P<at>\d[\d.e+-]{0,40}) (?P<id>\S+)")


class Order(StrEnum):
    """The time by which jobs or batches are listed, the latest first."""

    CREATED = "created"  #: of jobs of a batch or a tenant
    CHANGED = "changed"  #: when their state last changed: of all jobs, and of those that failed
    BATCHES = "batches"  #: when a job of a batch last changed its state: of batches


class Place(NamedTuple):
    """The place of a job, or of a batch, in a list. A list is in the order of its places, the greatest first."""

    at: float  #: seconds since 1970
    id: str  #: of the job, or the name of the batch

    def cursor(self, order: Order) -> str:
        """Returns the cursor of the page after this place."""
        return urlsafe_b64encode(f"{order} {self.at!r} {self.id}".encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, cursor: str, order: Order, is_valid_id: Callable[[str], bool] = is_job_id) -> Self:
        """Returns the place of a cursor. Raises InvalidCursor, also for one of a list in another order."""
        try:
            found = _CURSOR.fullmatch(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode())
            place = cls(float(found["at"]), found["id"]) if found else None
        except ValueError:
            place = None
        is_valid = place is not None and math.isfinite(place.at) and is_valid_id(place.id)
        if place is None or not is_valid or place.cursor(order) != cursor:
            raise InvalidCursor(cursor)
        return place


#: Before the first place of a list.
START = Place(math.inf, "")
