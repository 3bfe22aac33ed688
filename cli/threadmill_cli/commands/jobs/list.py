"""`threadmill jobs list`."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from threadmill.client import Client
from threadmill.job.result import FailureKind, JobState, Usage
from threadmill.job_facts import starts_at, summarise, took_s
from threadmill.store.jobs.filters import JobFilter
from threadmill.store.records.job import JobRecord, UnreadableJob
from threadmill_cli.app import AsJson, note, write_json
from threadmill_cli.command import examples
from threadmill_cli.rendering.table import write_table
from threadmill_cli.rendering.times import parse_since, show_moment, show_span


def add_to(group: typer.Typer) -> None:
    group.command("list", epilog=examples("threadmill jobs", "threadmill jobs --state failed --limit 20"))(list_)


def list_(
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
    tenant: Annotated[str | None, typer.Option(metavar="NAME", help="Only jobs of this tenant.")] = None,
    unreadable: Annotated[
        bool,
        typer.Option("--unreadable", help="Only jobs whose record cannot be read, with the part and the reason."),
    ] = False,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="List at most N jobs.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List jobs, the latest change of state first; those of a batch or a tenant by their creation."""
    store = Client().store
    now = store.now()
    earliest = now - since if isinstance(since, timedelta) else since
    chosen = JobFilter(state, batch, endpoint, failure, earliest, dict(map(_pair, metadata or ())), tenant)
    if unreadable:
        if endpoint or failure or metadata or tenant:
            raise typer.BadParameter("--unreadable can be combined only with --state, --batch and --since")
        _show_unreadable(store.unreadable_jobs(chosen, limit), as_json)
        return
    records, left_out = store.jobs(chosen, limit)
    if as_json:
        write_json([summarise(record, now) for record in records])
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
            "damaged, or written by a newer version; `threadmill jobs show JOB --raw` prints a record, "
            "`threadmill jobs cancel JOB` ends an unfinished job"
        )


_COLUMNS = ("id", "state", "failure", "took", "tokens", "created (UTC)", "endpoint", "prompt")


def _row(record: JobRecord, now: datetime) -> list[str]:
    result = record.result
    seconds, usage = took_s(record, now), result.usage if result else Usage()
    moment = starts_at(record, now)
    return [
        record.id,
        record.state if moment is None else f"{record.state}, starts in {show_span(moment - now)}",
        result.failure.kind if result and result.failure else "",
        "" if seconds is None else f"{seconds:,.1f} s",
        usage.in_words if usage != Usage() else "",
        show_moment(record.created_at),
        record.endpoint or "",
        " ".join((record.job.prompt or "").split())[:60],
    ]


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise typer.BadParameter(f"{text!r} is not KEY=VALUE", param_hint="--metadata")
    return key, value
