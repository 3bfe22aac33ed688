"""A worker process on a machine whose clock is wrong: `python wrong_clock.py SECONDS_AHEAD [worker's options]`.

To be run with `-B`, which `tests.forking.forked` does not fork: it replaces the clock before anything else is imported.
"""

import datetime
import sys
import time
from typing import Any

AHEAD = datetime.timedelta(seconds=float(sys.argv.pop(1)))

_real_time, _Real = time.time, datetime.datetime


class _Kind(type):
    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, _Real)


class Wrong(_Real, metaclass=_Kind):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return _Real.now(tz) + AHEAD


time.time = lambda: _real_time() + AHEAD.total_seconds()
datetime.datetime = Wrong  # type: ignore[misc]

if __name__ == "__main__":
    from threadmill_worker.__main__ import main

    sys.exit(main())
