"""The current time by Redis' clock. All times in records are Redis' time; the clock of this machine may be wrong.

A reading shows the offset between both clocks, with an error of at most half its round trip. Of the latest
readings, the one with the shortest round trip is used, so a stall or a slow network does no harm.
"""

import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from redis.asyncio import Redis

from threadmill.store.records.worker import SKEW_LIMIT_S

log = structlog.get_logger(__name__)

#: How many readings are compared. Within as many heartbeats, clocks drift apart by a few milliseconds.
_LATEST = 30

#: Seconds by which the offsets of two readings may differ beyond their errors, because clocks drift.
_DRIFT_S = 0.05

#: A changed offset is used once this many readings in a row show it.
_CHANGE_READINGS = 3

#: A clock that does not change when the wall clock is set. On Linux it also runs while the machine is suspended.
_TICKS = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def _ticks() -> float:
    return time.clock_gettime(_TICKS)


@dataclass(frozen=True)
class Reading:
    """One reading of Redis' clock. `asked_at` and `answered_at` are ticks, `redis_at` is seconds since 1970."""

    asked_at: float
    answered_at: float
    redis_at: float

    @property
    def round_trip_s(self) -> float:
        return self.answered_at - self.asked_at

    @property
    def offset(self) -> float:
        """The seconds to add to ticks to get Redis' time; the error is at most half the round trip."""
        return self.redis_at - (self.asked_at + self.answered_at) / 2

    def agrees_with(self, other: "Reading") -> bool:
        """Whether both can be readings of the same offset."""
        apart = abs(self.offset - other.offset)
        return apart <= (self.round_trip_s + other.round_trip_s) / 2 + _DRIFT_S


class RedisClock:
    """Redis' time, also between readings. Before the first reading it is this machine's time.

    `ticks`: a clock that nobody sets, in seconds. `wall`: this machine's time, in seconds since 1970.
    """

    def __init__(
        self, redis: Redis, ticks: Callable[[], float] = _ticks, wall: Callable[[], float] = time.time
    ) -> None:
        self._redis = redis
        self._ticks = ticks
        self._wall = wall
        self._best: Reading | None = None
        self._latest: deque[Reading] = deque(maxlen=_LATEST)  #: those that agree with the best
        self._doubts: list[Reading] = []  #: the last ones, if they contradict the best and agree with each other
        self._reported_skew_s = 0.0

    def now(self) -> float:
        """Seconds since 1970."""
        return self._wall() if self._best is None else self._ticks() + self._best.offset

    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.now(), UTC)

    @property
    def skew_s(self) -> float:
        """By how many seconds this machine's clock is ahead of Redis'; negative if it is behind.

        0 while round trips are too long to measure it.
        """
        if self._best is None or self._best.round_trip_s > SKEW_LIMIT_S:
            return 0.0
        return self._wall() - self.now()

    async def ready(self) -> None:
        """Reads Redis' clock if it has not been read yet. Raises what redis-py raises."""
        if self._best is None:
            await self.synchronise()

    async def synchronise(self) -> None:
        """Reads Redis' clock. Raises what redis-py raises."""
        asked_at = self._ticks()
        seconds, microseconds = await self._redis.time()
        self.take(Reading(asked_at, self._ticks(), seconds + microseconds / 1e6))
        self._report_skew()

    def take(self, reading: Reading) -> None:
        """Uses a reading; one that contradicts the earlier ones only after enough others have confirmed it."""
        if self._best is None or reading.agrees_with(self._best):
            self._latest.append(reading)
            self._doubts.clear()
        else:
            self._doubts = [*(doubt for doubt in self._doubts if doubt.agrees_with(reading)), reading]
            if len(self._doubts) < _CHANGE_READINGS:
                return
            self._report_change(reading.offset - self._best.offset)
            self._latest = deque(self._doubts, _LATEST)
            self._doubts.clear()
        self._best = min(self._latest, key=lambda each: each.round_trip_s)

    def _report_change(self, by_s: float) -> None:
        if abs(by_s) > SKEW_LIMIT_S:
            reason = (
                "Redis failed over to a machine with another clock, its clock was set, or this machine was suspended"
            )
            log.warning("Redis' time jumped", by_s=round(by_s, 3), reason=reason)

    def _report_skew(self) -> None:
        """Logs the skew when it is first seen, and each change of more than the limit."""
        skew_s = self.skew_s
        if self._doubts or abs(skew_s - self._reported_skew_s) <= SKEW_LIMIT_S:
            return
        self._reported_skew_s = skew_s
        facts = {"machine": socket.gethostname(), "skew_s": round(skew_s, 3)}
        if abs(skew_s) > SKEW_LIMIT_S:
            log.warning("clock skew", **facts, remedy="synchronise the clocks of this machine and of Redis' with NTP")
        else:
            log.info("clock skew gone", **facts)
