"""Places in a list of jobs, and cursors: where the next page of the list begins."""

import math
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from enum import StrEnum
from typing import NamedTuple, Self

from threadmill.errors import InvalidCursor
from threadmill.names import is_job_id

_CURSOR = re.compile(r"(?P<order>[a-z]+) (?P<at>\d[\d.e+-]{0,40}) (?P<id>\S+)")


class Order(StrEnum):
    """The time by which jobs are listed, the latest first."""

    CREATED = "created"  #: of jobs of a batch or a tenant
    CHANGED = "changed"  #: when their state last changed: of all jobs


class Place(NamedTuple):
    """A job's place in a list. A list is in the order of its places, the greatest first."""

    at: float  #: seconds since 1970
    job_id: str

    def cursor(self, order: Order) -> str:
        """Returns the cursor of the page after this place."""
        return urlsafe_b64encode(f"{order} {self.at!r} {self.job_id}".encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, cursor: str, order: Order) -> Self:
        """Returns the place of a cursor. Raises InvalidCursor, also for one of a list in another order."""
        try:
            found = _CURSOR.fullmatch(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode())
            place = cls(float(found["at"]), found["id"]) if found else None
        except ValueError:
            place = None
        is_valid = place is not None and math.isfinite(place.at) and is_job_id(place.job_id)
        if place is None or not is_valid or place.cursor(order) != cursor:
            raise InvalidCursor(cursor)
        return place


#: Before the first job of a list.
START = Place(math.inf, "")
