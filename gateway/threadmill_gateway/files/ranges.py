"""Which bytes of a file a request asks for. PURE."""

import re
from http import HTTPStatus

from threadmill_gateway.requests.problems import Problem

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


def asked_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Returns the first byte and the one after the last; None: the whole file.

    Several ranges at once, and other units, may be ignored as HTTP says; they are. Raises Problem for a range outside
    the file.
    """
    found = _RANGE.fullmatch(header.strip()) if header else None
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
    if last and first and int(last) < int(first):
        return None
    if start >= stop:
        raise Problem(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            f"the file has {size:,} bytes",
            "ask for a range inside it",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return start, stop
