"""Commands on single jobs that were enqueued: status, result, wait, cancel, jobs."""

import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from threadmill.cli.app import (
    AsJson,
    Exit,
    err,
    put,
    put_json,
)
from threadmill.cli.command import examples
from threadmill.client import Client
from threadmill.record import JobRecord
from threadmill.result import JobResult, JobState

JobIds = Annotated[list[str], typer.Argument(metavar="JOB", help="Job ids.", show_default=False)]
SomeJobIds = Annotated[list[str] | None, typer.Argument(metavar="JOB", help="Job ids.", show_default=False)]
OfBatch = Annotated[str | None, typer.Option("--batch", help="Those of this batch.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="Job id.", show_default=False)]


def add_to(app: typer.Typer) -> None:
    app.command(epilog=examples("threadmill status JOB"))(status)
    app.command(epilog=examples("threadmill result JOB", "threadmill result JOB --json"))(result)
    app.command(epilog=examples("threadmill wait $(cat ids.txt) --timeout-s 600"))(wait)
    app.command(epilog=examples("threadmill cancel JOB", "threadmill cancel --batch notes"))(cancel)
    app.command(epilog=examples("threadmill redrive JOB", "threadmill redrive --batch notes"))(redrive)
    app.command(epilog=examples("threadmill jobs", "threadmill jobs --state failed --limit 20"))(jobs)


def status(job: JobId, as_json: AsJson = False) -> None:
    """Show where a job is."""
    record = Client().get(job)
    if as_json:
        put_json(_summary(record) | {"job": record.job.model_dump(mode="json", exclude_defaults=True)})
        return
    for name, value in _summary(record).items():
        if value is not None:
            put(f"{name:<12} {value}")


def result(job: JobId, as_json: AsJson = False) -> None:
    """Print a job's answer, if it has ended; exit 124 if it has not."""
    show_result(Client().wait(job, timeout_s=0), as_json)


def wait(
    jobs: JobIds,
    timeout_s: Annotated[float | None, typer.Option("--timeout-s", min=0, help="In all, in seconds.")] = None,
    as_json: AsJson = False,
) -> None:
    """Wait for jobs to end and print their answers, in the order given."""
    client = Client()
    stop_at = None if timeout_s is None else time.monotonic() + timeout_s
    results = []
    for job in jobs:
        left_s = None if stop_at is None else max(0.0, stop_at - time.monotonic())
        results.append(client.wait(job, left_s))
        _print_result(results[-1], as_json)
    if not all(each.ok for each in results):
        raise typer.Exit(Exit.FAILED)


def cancel(jobs: SomeJobIds = None, batch: OfBatch = None, as_json: AsJson = False) -> None:
    """Stop jobs: a queued one at once, a running one as soon as its worker has stopped the remote run."""
    client = Client()
    _check(jobs, batch)
    states = client.cancel_batch(batch) if batch is not None else {}
    states |= {job: client.cancel(job) for job in jobs or ()}
    _print_states(states, as_json, {JobState.RUNNING: "is being cancelled", JobState.CANCELLED: "cancelled"})


def redrive(jobs: SomeJobIds = None, batch: OfBatch = None, as_json: AsJson = False) -> None:
    """Send failed or cancelled jobs again; with --batch all failed ones. Earlier results stay in history."""
    client = Client()
    _check(jobs, batch)
    states = client.redrive_batch(batch) if batch is not None else {}
    states |= {job: client.redrive(job) for job in jobs or ()}
    _print_states(states, as_json, {JobState.QUEUED: "queued"})


def _check(jobs: list[str] | None, batch: str | None) -> None:
    if not jobs and batch is None:
        raise typer.BadParameter("name jobs, or --batch NAME")


def _print_states(states: Mapping[str, JobState], as_json: bool, words: Mapping[JobState, str]) -> None:
    """`words`: what to call the states that mean it was done; in another one a job was left alone."""
    if as_json:
        put_json(states)
    else:
        for job, state in states.items():
            put(f"{job}  {words.get(state, f'left alone: it is {state}')}")
    if not all(state in words for state in states.values()):
        raise typer.Exit(Exit.FAILED)


def jobs(
    state: Annotated[JobState | None, typer.Option(help="Only jobs in this state.")] = None,
    batch: Annotated[str | None, typer.Option(help="Only jobs of this batch.")] = None,
    limit: Annotated[int, typer.Option(min=1)] = 50,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first."""
    records = Client().jobs(state=state, batch=batch, limit=limit)
    if as_json:
        put_json([_summary(record) for record in records])
        return
    for record in records:
        words = " ".join((record.job.prompt or "").split())
        put(f"{record.id}  {record.state:<9}  {record.created_at:%Y-%m-%d %H:%M:%S}  {words[:60]}")


def show_result(result: JobResult, as_json: bool) -> None:
    """Prints a result and ends the command accordingly."""
    _print_result(result, as_json)
    if not result.ok:
        raise typer.Exit(Exit.FAILED)


def show_ending(result: JobResult, *, quiet: bool) -> None:
    """The same for one whose text was shown; `quiet`: all else too."""
    if not quiet:
        if result.citations:
            remark(f"the answer has footnotes: threadmill result {result.job_id} prints it with them")
        _print_remarks(result)
    if not result.ok:
        raise typer.Exit(Exit.FAILED)


def _print_result(result: JobResult, as_json: bool) -> None:
    if as_json:
        put_json(result.model_dump(mode="json"))
        return
    if result.text:
        put(result.text)
    _print_remarks(result)


def _print_remarks(result: JobResult) -> None:
    for file in result.files:
        remark(f"file {file.name}: {file.uri or f'could not be had: {file.error}'}")
    if result.thread_id:
        remark(f"thread {result.thread_id} lives on: --thread {result.thread_id} goes on with it")
    if result.failure:
        remark(f"job {result.job_id} {result.state}: {result.failure.kind}: {result.failure.message}")


def remark(text: str) -> None:
    """Something to know besides the data."""
    err.print(text, soft_wrap=True, markup=False)


def _summary(record: JobRecord) -> dict[str, Any]:
    failure = record.result.failure if record.result else None
    return {
        "id": record.id,
        "state": record.state,
        "endpoint": record.job.endpoint,
        "batch": record.job.batch,
        "attempts": record.attempts,
        "created_at": record.created_at.isoformat(),
        "started_at": record.started_at and record.started_at.isoformat(),
        "finished_at": record.finished_at and record.finished_at.isoformat(),
        "worker": record.owner,
        "redriven": len(record.history) or None,
        "failure": failure and f"{failure.kind}: {failure.message}",
    }
