"""For how long a worker's heartbeats have reached Redis, or have not: pure, but for the clock."""

import time
from collections.abc import Callable


class Pulse:
    """Starts as if a heartbeat had just reached Redis. `clock`: seconds, monotonic."""

    def __init__(self, lease_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        #: If Redis is away for longer than this, leases lapse: each worker renews its own after a third of the time.
        self._gap_s = lease_s * 2 / 3
        self._clock = clock
        self._last = self._steady_since = clock()

    def beat(self) -> None:
        """A heartbeat has reached Redis."""
        now = self._clock()
        if now - self._last > self._gap_s:
            self._steady_since = now
        self._last = now

    @property
    def silent_s(self) -> float:
        """Seconds since the last heartbeat."""
        return self._clock() - self._last

    @property
    def steady_s(self) -> float:
        """Since Redis was last away for so long that leases of living workers may have lapsed; 0 while it is."""
        return 0 if self.silent_s > self._gap_s else self._clock() - self._steady_since
