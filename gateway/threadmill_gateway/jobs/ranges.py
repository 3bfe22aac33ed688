"""The header `Range` of RFC 9110, section 14, with one range. PURE."""

import re
from http import HTTPStatus
from typing import NamedTuple

from threadmill_gateway.problems import Problem

_ONE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class Range(NamedTuple):
    """Which bytes of a file to send."""

    first: int
    length: int
    is_part: bool


def range_of(header: str | None, size: int) -> Range:
    """Returns the bytes that a request asks for; all of them if it names several ranges, or another unit.

    Raises Problem (416) if the file, of `size` bytes, has none of them.
    """
    found = _ONE.fullmatch((header or "").strip())
    if found is None or not (found[1] or found[2]):
        return Range(0, size, is_part=False)
    if found[1]:
        first, last = int(found[1]), min(int(found[2] or size), size - 1)
        if found[2] and int(found[2]) < first:  # invalid, and therefore ignored
            return Range(0, size, is_part=False)
    else:
        first, last = max(0, size - int(found[2])), size - 1
    if first > last:
        raise Problem(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            f"the file has {size} bytes, and none of those that `Range` asks for",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return Range(first, last - first + 1, is_part=True)
