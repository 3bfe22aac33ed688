"""The due nights of a schedule, also when clocks change."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from threadmill.reports.definitions.schedule import Schedule

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def schedule(cron: str, zone: str, about="today") -> Schedule:
    return Schedule(cron, ZoneInfo(zone), about)


def at(moment: str) -> datetime:
    return datetime.fromisoformat(moment)


def test_a_morning_report_is_about_the_day_before():
    taipei = schedule("0 6 * * *", "Asia/Taipei", "yesterday")

    [fire] = taipei.owed(at("2026-11-21T06:00+08:00"), LONG_AGO, catch_up=0)

    assert (fire.night, fire.at) == (date(2026, 11, 20), at("2026-11-21T06:00+08:00"))


def test_a_fire_is_due_from_its_time_on():
    taipei = schedule("0 6 * * *", "Asia/Taipei")

    def latest(moment):
        return next(taipei.last_fires(at(moment))).night

    assert latest("2026-11-21T05:59:59+08:00") == date(2026, 11, 20)
    assert latest("2026-11-21T06:00:00+08:00") == date(2026, 11, 21)
    assert latest("2026-11-20T22:00:00+00:00") == date(2026, 11, 21), "the same moment in another zone"


def test_a_limited_number_of_missed_nights_is_owed_oldest_first():
    taipei, now = schedule("0 6 * * *", "Asia/Taipei"), at("2026-11-21T12:00+08:00")

    assert [fire.night.day for fire in taipei.owed(now, LONG_AGO, catch_up=3)] == [18, 19, 20, 21]
    assert [fire.night.day for fire in taipei.owed(now, LONG_AGO, catch_up=0)] == [21]
    assert [fire.night.day for fire in taipei.owed(now, at("2026-11-20T06:00+08:00"), catch_up=3)] == [20, 21]
    assert taipei.owed(now, now, catch_up=3) == [], "nothing before the report was there"


def test_finished_nights_are_not_due():
    taipei, now = schedule("0 6 * * *", "Asia/Taipei"), at("2026-11-21T12:00+08:00")

    assert [each.night.day for each in taipei.due(now, LONG_AGO, 2, {date(2026, 11, 20)})] == [19, 21]


def test_a_time_skipped_by_the_clock_fires_at_the_next_minute():
    berlin = schedule("30 2 * * *", "Europe/Berlin")  # 2026-03-29: 2:00 is 3:00
    new_york = schedule("30 2 * * *", "America/New_York")  # 2026-03-08

    fires = berlin.next_fires(at("2026-03-28T00:00+01:00"), 3)
    assert [fire.at.isoformat() for fire in fires] == [
        "2026-03-28T02:30:00+01:00",
        "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ]
    [skipped] = new_york.owed(at("2026-03-08T12:00-04:00"), LONG_AGO, 0)
    assert (skipped.at.isoformat(), skipped.night) == ("2026-03-08T03:00:00-04:00", date(2026, 3, 8))
    assert new_york.owed(at("2026-03-08T06:59:00+00:00"), LONG_AGO, 0)[0].night == date(2026, 3, 7), "not before"


def test_a_repeated_time_fires_the_first_time():
    berlin = schedule("30 2 * * *", "Europe/Berlin")  # 2026-10-25: 3:00 is 2:00
    new_york = schedule("30 1 * * *", "America/New_York")  # 2026-11-01

    fires = berlin.next_fires(at("2026-10-25T00:00+02:00"), 2)
    assert [fire.at.isoformat() for fire in fires] == ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]
    between = at("2026-10-25T01:10:00+00:00")  # 2:10 for the second time
    assert berlin.owed(between, LONG_AGO, 0)[0].night == date(2026, 10, 25)
    assert [fire.night.day for fire in new_york.owed(at("2026-11-02T12:00-05:00"), LONG_AGO, 2)] == [31, 1, 2]


def test_a_skipped_midnight_has_its_own_night():
    beirut = schedule("0 0 * * *", "Asia/Beirut")  # its clocks jump at midnight

    nights = [fire.night for fire in beirut.next_fires(at("2026-03-27T12:00+02:00"), 4)]
    assert nights == [date(2026, 3, day) for day in (28, 29, 30, 31)]


def test_a_schedule_need_not_fire_each_day():
    weekly = schedule("0 7 * * MON", "Europe/Berlin", "yesterday")

    assert [str(fire.night) for fire in weekly.owed(at("2026-11-21T12:00+01:00"), LONG_AGO, 1)] == [
        "2026-11-08",
        "2026-11-15",
    ]


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)).map(lambda wall: wall.replace(tzinfo=UTC)),
    st.integers(0, 23),
    st.integers(0, 59),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Taipei", "Australia/Lord_Howe", "Pacific/Apia"]),
)
def test_each_day_is_due_once_whenever_it_is_checked(now, hour, minute, zone):
    daily = schedule(f"{minute} {hour} * * *", zone)

    owed = daily.owed(now, LONG_AGO, catch_up=9)

    nights = [fire.night for fire in owed]
    assert nights == [nights[0] + timedelta(days=number) for number in range(10)]
    assert owed == sorted(owed, key=lambda fire: fire.at)
    assert owed[-1].at <= now < daily.next_fires(now, 1)[0].at
    assert daily.next_fires(now, 1)[0].night == nights[-1] + timedelta(days=1)
