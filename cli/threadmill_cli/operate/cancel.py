"""`threadmill cancel` and `threadmill redrive`, for single jobs or a batch."""

from collections import Counter
from collections.abc import Mapping
from typing import Annotated

import typer

from threadmill.client import Client
from threadmill.job.result import JobState
from threadmill_cli.app import AsJson, Exit, note, write_json, write_line
from threadmill_cli.command import examples
from threadmill_cli.rendering.confirm import Yes, confirm

SomeJobIds = Annotated[list[str] | None, typer.Argument(metavar="JOB", help="Job ids.", show_default=False)]

_CANCELLED = {JobState.CANCELLED: "cancelled", JobState.RUNNING: "being cancelled"}
_REDRIVEN = {JobState.QUEUED: "queued"}


def add_to(app: typer.Typer) -> None:
    app.command(epilog=examples("threadmill cancel JOB", "threadmill cancel --batch notes --yes"))(cancel)
    app.command(epilog=examples("threadmill redrive JOB", "threadmill redrive --batch notes"))(redrive)


def cancel(
    jobs: SomeJobIds = None,
    batch: Annotated[str | None, typer.Option(metavar="NAME", help="Cancel all unfinished jobs of a batch.")] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Cancel jobs: queued jobs at once, running jobs as soon as their worker has stopped the remote run."""
    client = Client()
    _check(jobs, batch)
    if batch is not None:
        unfinished = client.batch(batch).open
        confirm(f"Cancel batch {batch} with {unfinished:,} unfinished jobs?", yes=yes)
        _show_batch(client.cancel_batch(batch), _CANCELLED, as_json, none="has no unfinished jobs", batch=batch)
    if jobs:
        _show_jobs({job: client.cancel(job) for job in jobs}, _CANCELLED, as_json)


def redrive(
    jobs: SomeJobIds = None,
    batch: Annotated[str | None, typer.Option(metavar="NAME", help="Run all failed jobs of a batch again.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run failed or cancelled jobs again; with --batch, all failed jobs of a batch. A job keeps its earlier results."""
    client = Client()
    _check(jobs, batch)
    if batch is not None:
        _show_batch(client.redrive_batch(batch), _REDRIVEN, as_json, none="has no failed jobs", batch=batch)
    if jobs:
        _show_jobs({job: client.redrive(job) for job in jobs}, _REDRIVEN, as_json)


def _check(jobs: list[str] | None, batch: str | None) -> None:
    if bool(jobs) == (batch is not None):
        raise typer.BadParameter("name either jobs or --batch NAME")


def _show_batch(
    states: Mapping[str, JobState], words: Mapping[JobState, str], as_json: bool, *, none: str, batch: str
) -> None:
    """Writes one line for all jobs. Jobs that ended meanwhile are not counted."""
    if as_json:
        write_json(states)
        return
    counts = Counter(states.values())
    shown = [f"{counts.pop(state):,} {word}" for state, word in words.items() if counts[state]]
    shown += [f"{number:,} had {state} before" for state, number in counts.items() if number]
    if shown:
        write_line(f"{batch}: {', '.join(shown)}")
    else:
        note(f"{batch} {none}")


def _show_jobs(states: Mapping[str, JobState], words: Mapping[JobState, str], as_json: bool) -> None:
    """Writes a line per job; exits with 1 if a job was not changed."""
    if as_json:
        write_json(states)
    else:
        for job, state in states.items():
            write_line(f"{job}  {words.get(state, f'left alone: it is {state}')}")
    if not all(state in words for state in states.values()):
        raise typer.Exit(Exit.FAILED)
