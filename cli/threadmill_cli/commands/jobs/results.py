"""`threadmill jobs result` and `wait`, and how results are shown."""

import time
from typing import Annotated

import typer

from threadmill.client import Client
from threadmill.job.result import JobResult
from threadmill_cli.app import AsJson, Exit, note, write_json, write_line
from threadmill_cli.command import examples
from threadmill_cli.rendering.waiting import wait_for

JobIds = Annotated[list[str], typer.Argument(metavar="JOB", help="Job ids.", show_default=False)]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="Job id.", show_default=False)]


def add_to(group: typer.Typer) -> None:
    group.command(epilog=examples("threadmill jobs result JOB", "threadmill jobs result JOB --json"))(result)
    group.command(epilog=examples("threadmill jobs wait $(cat ids.txt) --timeout-s 600"))(wait)


def result(job: JobId, as_json: AsJson = False) -> None:
    """Print a job's answer; exit code 124 if the job has not ended."""
    show_result(Client().wait(job, timeout_s=0), as_json)


def wait(
    jobs: JobIds,
    timeout_s: Annotated[
        float | None, typer.Option("--timeout-s", min=0, metavar="SECONDS", help="Time limit for all jobs together.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Wait for jobs to end, and print their answers in the order of the ids."""
    client = Client()
    stop_at = None if timeout_s is None else time.monotonic() + timeout_s
    results = []
    for job in jobs:
        left_s = None if stop_at is None else max(0.0, stop_at - time.monotonic())
        results.append(wait_for(client, job, left_s, lambda: None))
        _print_result(results[-1], as_json)
    if not all(each.ok for each in results):
        raise typer.Exit(Exit.FAILED)


def show_result(result: JobResult, as_json: bool) -> None:
    """Prints a result; exits with 1 if the job did not succeed."""
    _print_result(result, as_json)
    if not result.ok:
        raise typer.Exit(Exit.FAILED)


def show_ending(result: JobResult, *, quiet: bool) -> None:
    """Prints the notes of a result whose text was shown, unless `quiet`; exits with 1 if the job did not succeed."""
    if not quiet:
        if result.citations:
            note(f"the answer has footnotes: threadmill jobs result {result.job_id} prints it with them")
        _print_notes(result)
    if not result.ok:
        raise typer.Exit(Exit.FAILED)


def _print_result(result: JobResult, as_json: bool) -> None:
    if as_json:
        write_json(result.model_dump(mode="json"))
        return
    if result.text:
        write_line(result.text)
    _print_notes(result)


def _print_notes(result: JobResult) -> None:
    for file in result.files:
        note(f"file {file.name}: {file.uri or f'could not be downloaded: {file.error}'}")
    if result.thread_id and result.ok:
        note(f"thread {result.thread_id} is kept: continue it with --thread {result.thread_id}")
    if result.ignored_tools:
        note(f"the server ignored tools of the job: {', '.join(result.ignored_tools)}")
    if result.missing_steps:
        note(f"the steps of the run are not complete: {result.missing_steps}")
    if result.full_price:
        note(f"runs of the job cost the full price: {result.full_price}")
    if result.failure:
        note(f"job {result.job_id} {result.state}: {result.failure.kind}: {result.failure.message}")
