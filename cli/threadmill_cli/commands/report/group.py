"""The group `threadmill report`."""

from typing import ClassVar

import typer

from threadmill_cli.command import Group, examples
from threadmill_cli.later import Later


class ReportGroup(Group):
    later: ClassVar = {
        "run": Later(
            "report.run",
            "Produce the report of one night now. Resumes an interrupted night and retries a failed one.",
        ),
        "due": Later(
            "report.run",
            "Produce every report that is due, including missed nights, then exit. Safe to call from cron at any "
            "interval.",
        ),
        "schedule": Later(
            "report.run",
            "Produce reports when they are due, until SIGTERM or Ctrl-C. Any number of schedulers may run.",
        ),
        "list": Later(
            "report.nights",
            "List the nights of each report: state, cost, link. The latest night comes first.",
        ),
        "check": Later(
            "report.nights",
            "Check a definition: its fields, prompts, variables, next runs and documents. Contacts no server.",
        ),
    }


def add_to(app: typer.Typer) -> None:
    report = typer.Typer(
        cls=ReportGroup,
        no_args_is_help=True,
        help="Produce nightly reports, each exactly once.",
        epilog=examples("threadmill report run daily", "threadmill report list"),
    )
    app.add_typer(report, name="report")
