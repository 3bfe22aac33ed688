"""Computes the scheduled nights of a report. PURE.

The schedule is cron in local time. When clocks are set forward, a skipped time fires at the next minute that exists.
When they are set back, a repeated time fires the first time.
"""

from collections.abc import Container, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice, takewhile
from typing import Literal
from zoneinfo import ZoneInfo

from cronsim import CronSim

About = Literal["yesterday", "today"]

_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Fire:
    """A scheduled production."""

    night: date  #: the day it is about
    at: datetime  #: in the schedule's zone


@dataclass(frozen=True)
class Schedule:
    """A cron expression of five fields. All methods raise CronSimError if it is invalid."""

    cron: str
    zone: ZoneInfo
    about: About

    def last_fires(self, now: datetime) -> Iterator[Fire]:
        """Yields the fires until `now`, the latest first."""
        start = self._wall(now) + _DAY  # clock changes are shorter
        fires = map(self._fire, CronSim(self.cron, start, reverse=True))
        return (fire for fire in fires if fire.at <= now)

    def next_fires(self, now: datetime, number: int) -> list[Fire]:
        """Returns the first `number` fires after `now`."""
        fires = map(self._fire, CronSim(self.cron, self._wall(now) - _DAY))
        return list(islice((fire for fire in fires if fire.at > now), number))

    def owed(self, now: datetime, since: datetime, catch_up: int) -> list[Fire]:
        """Returns the latest fire and up to `catch_up` before it, without those before `since`; the oldest first."""
        window = islice(self.last_fires(now), catch_up + 1)
        return list(takewhile(lambda fire: fire.at >= since, window))[::-1]

    def due(self, now: datetime, since: datetime, catch_up: int, over: Container[date]) -> list[Fire]:
        """Returns the nights in `owed` that are not in `over`, which are published, skipped or failed."""
        return [fire for fire in self.owed(now, since, catch_up) if fire.night not in over]

    def _wall(self, moment: datetime) -> datetime:
        return moment.astimezone(self.zone).replace(tzinfo=None)

    def _fire(self, wall: datetime) -> Fire:
        night = wall.date() - (_DAY if self.about == "yesterday" else timedelta(0))
        while self._wall(wall.replace(tzinfo=self.zone).astimezone(UTC)) != wall:  # a skipped time
            wall += _MINUTE
        return Fire(night, wall.replace(tzinfo=self.zone))
