"""Measures how long a worker's heartbeats have reached Redis, or failed to. No I/O except the clock."""

import time
from collections.abc import Callable


class Heartbeats:
    """Starts as if a heartbeat had just reached Redis. `clock`: seconds, monotonic."""

    def __init__(self, lease_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        #: Leases can expire in an outage that is longer: each worker renews its own every third of `lease_s`.
        self._safe_outage_s = lease_s * 2 / 3
        self._clock = clock
        self._last = self._stable_since = clock()

    def record(self) -> None:
        """Records that a heartbeat has reached Redis."""
        now = self._clock()
        if now - self._last > self._safe_outage_s:
            self._stable_since = now
        self._last = now

    @property
    def silent_s(self) -> float:
        """Seconds since the last heartbeat."""
        return self._clock() - self._last

    @property
    def stable_s(self) -> float:
        """Seconds since the last outage in which leases of living workers may have expired; 0 during such an outage."""
        return 0 if self.silent_s > self._safe_outage_s else self._clock() - self._stable_since
