"""The commands `status`, `result`, `wait` and `jobs`."""

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from threadmill.client import Client
from threadmill.job.progress import ProgressSummary
from threadmill.job.result import FailureKind, JobResult, JobState, Usage
from threadmill.store.records import JobFilter, JobRecord, UnreadableJob
from threadmill_cli.app import AsJson, Exit, note, write_json, write_line
from threadmill_cli.command import examples
from threadmill_cli.rendering.table import write_table
from threadmill_cli.rendering.times import parse_since, show_moment
from threadmill_cli.rendering.waiting import wait_for

JobIds = Annotated[list[str], typer.Argument(metavar="JOB", help="Job ids.", show_default=False)]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="Job id.", show_default=False)]


def add_to(app: typer.Typer) -> None:
    app.command(epilog=examples("threadmill status JOB", "threadmill status JOB --raw"))(status)
    app.command(epilog=examples("threadmill result JOB", "threadmill result JOB --json"))(result)
    app.command(epilog=examples("threadmill wait $(cat ids.txt) --timeout-s 600"))(wait)
    app.command(epilog=examples("threadmill jobs", "threadmill jobs --state failed --limit 20"))(jobs)


def status(
    job: JobId,
    raw: Annotated[
        bool,
        typer.Option("--raw", help="Print the stored record, even if it cannot be read. It contains the prompt."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the state of a job. For a running job, also show its thread, run, reruns and failed calls."""
    client = Client()
    if raw:
        write_line(json.dumps(client.store.fields(job), indent=2))  # ASCII, because bytes may be damaged
        return
    record = client.get(job)
    summary = _summary(record, client.store.now()) | _in_lane(client, record) | _for_newer(client, record)
    if as_json:
        write_json(summary | {"job": record.job.model_dump(mode="json", exclude_defaults=True)})
        return
    if record.result and not record.result.usage.is_reported:
        summary["tokens"] = record.result.usage.in_words
    for name, value in summary.items():
        if value not in (None, []):
            write_line(f"{name:<14} {', '.join(value) if isinstance(value, list) else value}")


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


def jobs(
    state: Annotated[JobState | None, typer.Option(help="Only jobs in this state.")] = None,
    batch: Annotated[str | None, typer.Option(metavar="NAME", help="Only jobs of this batch.")] = None,
    endpoint: Annotated[str | None, typer.Option(metavar="NAME", help="Only jobs for this endpoint.")] = None,
    failure: Annotated[
        FailureKind | None,
        typer.Option(
            parser=FailureKind,
            metavar="KIND",
            autocompletion=lambda: list(FailureKind),
            help="Only jobs that failed with this kind.",
        ),
    ] = None,
    since: Annotated[
        Any,  # datetime | timedelta | None: typer takes no unions
        typer.Option(
            parser=parse_since, metavar="TIME", help="Only jobs that changed state since TIME: 90m, 3d, a date."
        ),
    ] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Only jobs with this metadata; repeatable.")
    ] = None,
    unreadable: Annotated[
        bool,
        typer.Option("--unreadable", help="Only jobs whose record cannot be read, with the part and the reason."),
    ] = False,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="List at most N jobs.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List jobs. The latest change of state comes first."""
    store = Client().store
    now = store.now()
    earliest = now - since if isinstance(since, timedelta) else since
    chosen = JobFilter(state, batch, endpoint, failure, earliest, dict(map(_pair, metadata or ())))
    if unreadable:
        if endpoint or failure or metadata:
            raise typer.BadParameter("--unreadable can be combined only with --state, --batch and --since")
        _show_unreadable(store.unreadable_jobs(chosen, limit), as_json)
        return
    records, left_out = store.jobs(chosen, limit)
    if as_json:
        write_json([_summary(record, now) for record in records])
    else:
        write_table(_COLUMNS, [_row(record, now) for record in records])
    newer = sum(record.newer is not None and record.result is None for record in records)
    if newer:
        note(f"jobs of a newer version of threadmill: {newer:,}; only workers of that version run them")
    if failure and failure not in list(FailureKind):
        note(f"this version knows no failure {failure}; it knows {', '.join(FailureKind)}")
    if left_out:
        note(f"unreadable jobs left out: {left_out:,}; to list them: threadmill jobs --unreadable")


def _show_unreadable(found: Sequence[UnreadableJob], as_json: bool) -> None:
    if as_json:
        write_json([each.model_dump(mode="json") for each in found])
        return
    rows = [(each.id, each.state or "-", show_moment(each.since), each.field or "-", each.kind) for each in found]
    write_table(("id", "state", "since (UTC)", "part", "problem"), rows)
    if found:
        note(
            "damaged, or written by a newer version; `threadmill status JOB --raw` prints a record, "
            "`threadmill cancel JOB` ends an unfinished job"
        )


_COLUMNS = ("id", "state", "failure", "took", "tokens", "created (UTC)", "endpoint", "prompt")


def _row(record: JobRecord, now: datetime) -> list[str]:
    result = record.result
    took_s, usage = _took_s(record, now), result.usage if result else Usage()
    return [
        record.id,
        record.state,
        result.failure.kind if result and result.failure else "",
        "" if took_s is None else f"{took_s:,.1f} s",
        usage.in_words if usage != Usage() else "",
        show_moment(record.created_at),
        record.job.endpoint or "",
        " ".join((record.job.prompt or "").split())[:60],
    ]


def _took_s(record: JobRecord, now: datetime) -> float | None:
    """Returns the seconds from the first claim to the job's end or to now; None if no worker has claimed it."""
    if record.started_at is None:
        return None
    return ((record.finished_at or now) - record.started_at).total_seconds()


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise typer.BadParameter(f"{text!r} is not KEY=VALUE", param_hint="--metadata")
    return key, value


def show_result(result: JobResult, as_json: bool) -> None:
    """Prints a result; exits with 1 if the job did not succeed."""
    _print_result(result, as_json)
    if not result.ok:
        raise typer.Exit(Exit.FAILED)


def show_ending(result: JobResult, *, quiet: bool) -> None:
    """Prints the notes of a result whose text was shown, unless `quiet`; exits with 1 if the job did not succeed."""
    if not quiet:
        if result.citations:
            note(f"the answer has footnotes: threadmill result {result.job_id} prints it with them")
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


def _summary(record: JobRecord, now: datetime) -> dict[str, Any]:
    failure, took_s = record.result.failure if record.result else None, _took_s(record, now)
    return {
        "id": record.id,
        "state": record.state,
        "endpoint": record.job.endpoint,
        "batch": record.job.batch,
        "attempts": record.attempts,
        "created_at": record.created_at.isoformat(),
        "started_at": record.started_at and record.started_at.isoformat(),
        "finished_at": record.finished_at and record.finished_at.isoformat(),
        "worker": record.worker,
        "redriven": len(record.history) or None,
        "took_s": None if took_s is None else round(took_s, 3),
        "tokens": _tokens(record.result),
        "failure": failure and f"{failure.kind}: {failure.message}",
        **(_progress(record.progress_summary) if record.progress_summary else {}),
    }


def _tokens(result: JobResult | None) -> int | None:
    """Returns the number of tokens; None if it is not known yet or not reported."""
    return result.usage.total_tokens if result and result.usage.is_reported else None


def _in_lane(client: Client, record: JobRecord) -> dict[str, Any]:
    """Returns how long a job has waited in the batch lane, and why."""
    if record.parked is None:
        return {}
    batch = client.store.remote_batch(record.parked)
    return {
        "lane_since": record.lane_since and record.lane_since.isoformat(),
        "remote_batch": (batch and batch.batch_id) or "not sent yet",
        "sent_again": (batch and batch.tries) or None,
        "next_try": batch and batch.not_before and batch.not_before.isoformat(),
        "call_error": batch and batch.reason,
    }


def _for_newer(client: Client, record: JobRecord) -> dict[str, Any]:
    """Returns why a queued job waits for a worker of a newer version, if it does."""
    if record.state is not JobState.QUEUED:
        return {}
    known = max((worker.format for worker in client.workers()), default=record.format)
    if known < record.format:
        return {"left_alone": f"its record has format {record.format}, and the workers know {known}: update them"}
    return {"left_alone": record.newer and f"by workers of this version: {record.newer.reason}"}


def _progress(progress: ProgressSummary) -> dict[str, Any]:
    """Returns the progress of an unfinished job."""
    reason = f" (last: {progress.rerun_reason})" if progress.rerun_reason else ""
    run, errors = progress.run, progress.errors
    return {
        "thread": progress.thread_id,
        "run": run and run.seen.id,
        "run_status": run and run.seen.status,
        "run_since": run and _iso(run.started_at),
        "reruns": f"{progress.reruns}{reason}" if progress.reruns else None,
        "tools": progress.pending_tools,
        "ending": progress.failure and f"{progress.failure.kind}: {progress.failure.message}",
        "call_error": errors.reason,
        "failed_calls": (errors.reason and errors.count) or None,
        "call_error_since": errors.reason and _iso(errors.first_at),
        "deadline": _iso(progress.deadline_at),
    }


def _iso(moment: float | None) -> str | None:
    return datetime.fromtimestamp(moment, UTC).isoformat() if moment else None
