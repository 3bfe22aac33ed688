"""A month of a report as weeks of days, each with the state of its night. PURE."""

import calendar
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Self

from threadmill.reports.report_run import ReportRun, ReportState


class NightState(StrEnum):
    MADE = "made"  #: published, with all its deliveries
    UNDELIVERED = "undelivered"  #: published, but a delivery failed
    EMPTY = "empty"  #: there were no documents
    FAILED = "failed"
    MAKING = "making"  #: in production, or interrupted
    DUE = "due"  #: a scheduler produces it as soon as it can
    MISSED = "missed"  #: it was scheduled, and is too old to be produced without being asked for
    SCHEDULED = "scheduled"  #: its time has not come


@dataclass(frozen=True)
class Night:
    """A day of the calendar. `state`: None if nothing was or is scheduled. `at`: when it is or was scheduled."""

    day: date
    state: NightState | None
    run: ReportRun | None = None
    at: datetime | None = None


@dataclass(frozen=True)
class Month:
    """A month. `first`: its first day."""

    first: date

    @classmethod
    def of(cls, day: date) -> Self:
        return cls(day.replace(day=1))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Returns the month of a text such as 2026-11; None if it is none, or of another century."""
        try:
            first = date.fromisoformat(f"{text}-01")
        except ValueError:
            return None
        return cls(first) if len(text) == len("2026-11") and 2000 <= first.year < 2100 else None

    def __str__(self) -> str:
        return self.first.strftime("%Y-%m")

    @property
    def last(self) -> date:
        return self.first.replace(day=calendar.monthrange(self.first.year, self.first.month)[1])

    @property
    def before(self) -> "Month":
        return Month.of(self.first - timedelta(days=1))

    @property
    def after(self) -> "Month":
        return Month.of(self.last + timedelta(days=1))

    def weeks(self) -> list[list[date | None]]:
        """Returns weeks from Monday to Sunday; None is a day of another month."""
        days = calendar.Calendar().monthdatescalendar(self.first.year, self.first.month)
        return [[day if day.month == self.first.month else None for day in week] for week in days]


def weeks_of(
    month: Month,
    runs: Sequence[ReportRun],
    fires: Mapping[date, datetime],
    due: Collection[date],
    now: datetime,
    since: datetime,
) -> list[list[Night | None]]:
    """Returns the nights of a month in weeks.

    `fires`: when each night is scheduled. `since`: nights that were scheduled before are not owed.
    """
    by_night = {run.night: run for run in runs}

    def night(day: date) -> Night:
        run, at = by_night.get(day), fires.get(day)
        return Night(day, state_of(run) if run else _state_without_run(at, day in due, now, since), run, at)

    return [[night(day) if day else None for day in week] for week in month.weeks()]


def state_of(run: ReportRun) -> NightState:
    """Returns the state of a night that was produced, or is."""
    match run.state:
        case ReportState.PUBLISHED:
            return NightState.MADE if run.ok else NightState.UNDELIVERED
        case ReportState.SKIPPED:
            return NightState.EMPTY
        case ReportState.FAILED:
            return NightState.FAILED
        case ReportState.MAKING:
            return NightState.MAKING


def _state_without_run(at: datetime | None, is_due: bool, now: datetime, since: datetime) -> NightState | None:
    if at is None:
        return None
    if at > now:
        return NightState.SCHEDULED
    if is_due:
        return NightState.DUE
    return NightState.MISSED if at >= since else None
