"""Arguments and options that the commands of reports share."""

from datetime import date
from typing import Annotated

import typer


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a date; write it as 2026-11-20") from None


Name = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of a report: the name of its file in reports/, without .toml.")
]
SomeNames = Annotated[
    list[str] | None, typer.Argument(metavar="NAME", help="Names of reports. Default: all.", show_default=False)
]
OfDate = Annotated[
    date | None,
    typer.Option(
        "--date",
        parser=_day,
        metavar="DAY",
        help="The day that the report is about. Default: the day of the latest scheduled time.",
    ),
]
