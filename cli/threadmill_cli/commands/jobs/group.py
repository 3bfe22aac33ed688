"""The group `threadmill jobs`."""

import typer

from threadmill_cli.command import ListGroup, examples
from threadmill_cli.commands.jobs import control, follow, list, results, show


def add_to(app: typer.Typer) -> None:
    jobs = typer.Typer(
        cls=ListGroup,
        help="Watch single jobs, cancel them, or run them again.\n\n`threadmill jobs` alone lists them.",
        epilog=examples("threadmill jobs --state running", "threadmill jobs show JOB"),
    )
    for commands in (list, show, follow, results, control):
        commands.add_to(jobs)
    app.add_typer(jobs, name="jobs")
