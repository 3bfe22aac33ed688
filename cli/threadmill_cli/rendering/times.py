"""Parses and shows times and time spans."""

import re
from datetime import UTC, datetime, timedelta

import typer

_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}


def parse_span(text: str) -> timedelta:
    """Parses `90m`, `12h`, `30d` or `4w`. Raises BadParameter."""
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text)
    if parts is None:
        raise typer.BadParameter(f"{text!r} is not a time span; write 90m, 12h, 30d or 4w")
    try:
        return float(parts[1]) * _UNITS[parts[2]]
    except OverflowError:
        raise typer.BadParameter(f"{text!r} is longer than any time span can be; write 90m, 12h, 30d or 4w") from None


def parse_since(text: str) -> datetime | timedelta:
    """Parses a time span before now, or a time (ISO 8601, UTC without an offset). Raises BadParameter."""
    try:
        return _moment(text)
    except ValueError:
        try:
            span = parse_span(text)
            datetime.now(UTC) - span  # raises OverflowError
            return span
        except (typer.BadParameter, OverflowError):
            raise typer.BadParameter(
                f"{text!r} is not a time; write a span as 90m, 12h or 3d, or a moment as 2026-11-28T06:00"
            ) from None


def parse_moment(text: str) -> datetime:
    """Parses a time (ISO 8601, UTC without an offset). Raises BadParameter."""
    try:
        return _moment(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a time; write 2026-11-29T06:00 (UTC) or, with an offset, 2026-11-29T06:00+08:00"
        ) from None


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def show_span(span: timedelta) -> str:
    """Returns the span in its largest unit: `3d`, `2h`, `45s`."""
    for unit in ("d", "h", "m"):
        if span >= _UNITS[unit]:
            return f"{span // _UNITS[unit]}{unit}"
    return f"{max(0, int(span.total_seconds()))}s"


def show_skew(skew_s: float) -> str:
    """Returns a text such as `60.0 s ahead of Redis' clock`."""
    return f"{abs(skew_s):,.1f} s {'ahead of' if skew_s > 0 else 'behind'} Redis' clock"


def show_moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
