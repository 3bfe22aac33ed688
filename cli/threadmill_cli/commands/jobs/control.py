"""`threadmill jobs cancel` and `redrive`."""

from collections.abc import Mapping

import typer

from threadmill.client import Client
from threadmill.job.result import JobState
from threadmill_cli.app import AsJson, Exit, write_json, write_line
from threadmill_cli.command import examples
from threadmill_cli.commands.jobs.results import JobIds
from threadmill_cli.rendering.states import CANCELLED, REDRIVEN


def add_to(group: typer.Typer) -> None:
    group.command(epilog=examples("threadmill jobs cancel JOB"))(cancel)
    group.command(epilog=examples("threadmill jobs redrive JOB"))(redrive)


def cancel(jobs: JobIds, as_json: AsJson = False) -> None:
    """Cancel jobs: queued jobs at once, running jobs as soon as their worker has stopped the remote run."""
    client = Client()
    _write_states({job: client.cancel(job) for job in jobs}, CANCELLED, as_json)


def redrive(jobs: JobIds, as_json: AsJson = False) -> None:
    """Run failed or cancelled jobs again. A job keeps its earlier results."""
    client = Client()
    _write_states({job: client.redrive(job) for job in jobs}, REDRIVEN, as_json)


def _write_states(states: Mapping[str, JobState], words: Mapping[JobState, str], as_json: bool) -> None:
    """Writes a line per job; exits with 1 if a job was not changed."""
    if as_json:
        write_json(states)
    else:
        for job, state in states.items():
            write_line(f"{job}  {words.get(state, f'left alone: it is {state}')}")
    if not all(state in words for state in states.values()):
        raise typer.Exit(Exit.FAILED)
