"""Time spans and moments as the command line takes and shows them."""

from datetime import UTC, datetime, timedelta

import pytest
import typer

from threadmill_cli.rendering.times import parse_moment, parse_since, parse_span, show_span


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("45s", timedelta(seconds=45)),
        ("90m", timedelta(minutes=90)),
        ("1.5h", timedelta(minutes=90)),
        ("3d", timedelta(days=3)),
        ("4w", timedelta(weeks=4)),
    ],
)
def test_a_span_has_a_unit(text, span):
    assert parse_span(text) == span


@pytest.mark.parametrize("text", ["", "3", "h", "-3h", "3 hours", "yesterday", "9999999999999w"])
def test_an_invalid_time_is_refused_with_an_example(text):
    with pytest.raises(typer.BadParameter, match="write a span as 90m, 12h or 3d"):
        parse_since(text)


@pytest.mark.parametrize("parse", [parse_since, parse_moment])
def test_a_moment_without_an_offset_is_in_utc(parse):
    assert parse("2026-11-28T06:00") == datetime(2026, 11, 28, 6, tzinfo=UTC)
    assert parse("2026-11-28T06:00+08:00") == datetime(2026, 11, 27, 22, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "06:00", "tomorrow", "3d"])
def test_an_invalid_moment_is_refused_with_an_example(text):
    with pytest.raises(typer.BadParameter, match=r"is not a time; write 2026-11-29T06:00 \(UTC\) or, with an offset"):
        parse_moment(text)


@pytest.mark.parametrize(("seconds", "shown"), [(-5, "0s"), (45, "45s"), (90, "1m"), (7200, "2h"), (200_000, "2d")])
def test_a_span_is_shown_in_its_largest_unit(seconds, shown):
    assert show_span(timedelta(seconds=seconds)) == shown
