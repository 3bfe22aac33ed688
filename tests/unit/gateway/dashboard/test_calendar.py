"""The calendar of a report."""

from datetime import UTC, date, datetime

import pytest

from threadmill.reports.report_run import ReportRun, ReportState
from threadmill_gateway.dashboard.reports.calendar import Month, NightState, state_of, weeks_of

NOVEMBER = Month.of(date(2026, 11, 17))


def at(day, hour=6):
    return datetime(2026, 11, day, hour, tzinfo=UTC)


def run(day, state, **fields):
    return ReportRun(report="daily", night=date(2026, 11, day), state=state, begun_at=at(day), **fields)


def test_a_month_has_whole_weeks_without_days_of_other_months():
    weeks = NOVEMBER.weeks()
    assert all(len(week) == 7 for week in weeks)
    days = [day for week in weeks for day in week if day]
    assert (days[0], days[-1], len(days)) == (date(2026, 11, 1), date(2026, 11, 30), 30)
    assert weeks[0] == [None] * 6 + [date(2026, 11, 1)], "weeks begin on Monday"


def test_months_follow_each_other():
    december = NOVEMBER.after
    assert [str(NOVEMBER.before), str(december), str(december.after)] == ["2026-10", "2026-12", "2027-01"]
    assert december.after.before == december


@pytest.mark.parametrize(
    "text", ["", "2026", "2026-13", "1999-12", "2100-01", "2026-1", "0001-01", "x" * 10, "２０２６-01"]
)
def test_what_is_no_month_is_none(text):
    assert Month.parse(text) is None


def test_a_month_is_parsed():
    assert Month.parse("2026-11") == NOVEMBER


@pytest.mark.parametrize(
    ("given", "state"),
    [
        (run(1, ReportState.PUBLISHED), NightState.MADE),
        (run(1, ReportState.PUBLISHED, deliveries={"mail": None}), NightState.MADE),
        (run(1, ReportState.PUBLISHED, deliveries={"mail": "refused"}), NightState.UNDELIVERED),
        (run(1, ReportState.SKIPPED), NightState.EMPTY),
        (run(1, ReportState.FAILED), NightState.FAILED),
        (run(1, ReportState.MAKING), NightState.MAKING),
    ],
)
def test_a_night_that_was_produced_has_a_state(given, state):
    assert state_of(given) is state


def test_a_night_without_a_run_is_scheduled_due_missed_or_nothing():
    fires = {date(2026, 11, day): at(day) for day in (2, 3, 4, 5)}
    weeks = weeks_of(NOVEMBER, [run(3, ReportState.FAILED)], fires, [date(2026, 11, 4)], at(4, hour=12), at(2, hour=3))
    nights = {night.day.day: night.state for week in weeks for night in week if night}
    assert [nights[day] for day in (1, 2, 3, 4, 5, 6)] == [
        None,
        NightState.MISSED,
        NightState.FAILED,
        NightState.DUE,
        NightState.SCHEDULED,
        None,
    ]


def test_nights_before_the_report_was_written_are_not_missed():
    weeks = weeks_of(NOVEMBER, [], {date(2026, 11, 2): at(2)}, [], at(9), since=at(3))
    assert {night.state for week in weeks for night in week if night} == {None}
