"""The group `threadmill jobs`."""

from typing import ClassVar

import typer

from threadmill_cli.command import ListGroup, examples
from threadmill_cli.later import Later


class JobsGroup(ListGroup):
    later: ClassVar = {
        "list": Later(
            "jobs.list",
            "List jobs, the latest change of state first; those of a batch or a tenant by their creation.",
        ),
        "show": Later(
            "jobs.show",
            "Show the state of a job: while queued, what it waits for; while running, its thread, run, reruns "
            "and errors.",
        ),
        "follow": Later(
            "jobs.follow",
            "Print a job's text as it is written, and its other events. With --json, print one line per event.",
        ),
        "result": Later("jobs.results", "Print a job's answer; exit code 124 if the job has not ended."),
        "wait": Later("jobs.results", "Wait for jobs to end, and print their answers in the order of the ids."),
        "cancel": Later(
            "jobs.control",
            "Cancel jobs: queued jobs at once, running jobs as soon as their worker has stopped the remote run.",
        ),
        "redrive": Later("jobs.control", "Run failed or cancelled jobs again. A job keeps its earlier results."),
    }


def add_to(app: typer.Typer) -> None:
    jobs = typer.Typer(
        cls=JobsGroup,
        help="Watch single jobs, cancel them, or run them again.\n\n`threadmill jobs` alone lists them.",
        epilog=examples("threadmill jobs --state running", "threadmill jobs show JOB"),
    )
    app.add_typer(jobs, name="jobs")
