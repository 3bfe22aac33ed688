"""Whether Celery's consumer takes messages. A worker whose consumer does not is deaf: it lives, and runs no job.

A consumer with a free slot asks Redis for messages all the time, and has a reply at least once a second: a message, or
that there is none. It does not if the thread of Celery is blocked, its connection is half open, or its queue was
cancelled. It also does not while Redis is away, or all slots are taken; both excuse it.
"""

import time
from collections.abc import Callable

#: Looks that are further apart excuse the consumer: Redis was away, or the event loop was blocked.
_APART_S = 5.0


class Consumption:
    """Judges the consumer of a worker. No I/O except the clock, which is monotonic, in seconds.

    `heard_at`: when the consumer had its last reply; None: none yet. `limit_s`: a silence that is longer is deafness.
    """

    def __init__(
        self, heard_at: Callable[[], float | None], limit_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._heard_at = heard_at
        self._limit_s = limit_s
        self._clock = clock
        self._looked_at = self._excused_until = clock()

    def look(self, *, has_free_slot: bool) -> None:
        """Call it about once a second, as long as Redis answers."""
        now = self._clock()
        if not has_free_slot or now - self._looked_at > _APART_S:
            self._excused_until = now
        self._looked_at = now

    @property
    def is_consuming(self) -> bool | None:
        """None: not known, because the consumer has just been started, or Redis is away."""
        if self._clock() - self._looked_at > _APART_S:
            return None
        if self.silent_s > self._limit_s:
            return False
        return None if self._heard_at() is None else True

    @property
    def silent_s(self) -> float:
        """Seconds for which the consumer has had no reply and no excuse."""
        return max(0.0, self._looked_at - max(self._heard_at() or 0.0, self._excused_until))
