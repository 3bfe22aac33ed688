"""The group `threadmill report`."""

import typer

from threadmill_cli.command import Group, examples
from threadmill_cli.commands.report import nights, run


def add_to(app: typer.Typer) -> None:
    report = typer.Typer(
        cls=Group,
        no_args_is_help=True,
        help="Produce nightly reports, each exactly once.",
        epilog=examples("threadmill report run daily", "threadmill report list"),
    )
    run.add_to(report)
    nights.add_to(report)
    app.add_typer(report, name="report")
