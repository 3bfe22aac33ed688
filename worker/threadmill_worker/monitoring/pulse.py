"""Measures whether the event loop turns, and how late it resumes tasks."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

#: How often the loop is measured, in seconds.
BEAT_S = 1.0

#: Beats of which the latest is shown.
_SHOWN = 15


class Pulse:
    """The beats of an event loop, in which `beat` has to run. Any thread can read. `clock`: seconds, monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()
        self._lags: deque[float] = deque(maxlen=_SHOWN)

    async def beat(self) -> None:
        """Repeat it for ever."""
        due = self._clock() + BEAT_S
        await asyncio.sleep(BEAT_S)
        self._last = self._clock()
        self._lags.append(max(0.0, self._last - due))

    @property
    def silent_s(self) -> float:
        """Seconds since the last beat."""
        return self._clock() - self._last

    @property
    def lag_s(self) -> float:
        """The longest delay of the last beats, and of the one that is due."""
        return max((*tuple(self._lags), self.silent_s - BEAT_S, 0.0))
