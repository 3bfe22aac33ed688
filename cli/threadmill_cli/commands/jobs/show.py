"""`threadmill jobs show`: the state and the progress of one job."""

import json
from typing import Annotated

import typer

from threadmill.client import Client
from threadmill.job.events.timeline import TimelineEntry
from threadmill.job_facts import facts_of
from threadmill.store.records.packing import unpack_readable
from threadmill_cli.app import AsJson, write_json, write_line
from threadmill_cli.command import examples
from threadmill_cli.commands.jobs.results import JobId


def add_to(group: typer.Typer) -> None:
    group.command(epilog=examples("threadmill jobs show JOB", "threadmill jobs show JOB --raw"))(show)


def show(
    job: JobId,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw", help="Print the stored record, uncompressed, even if it cannot be read. It contains the prompt."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the state of a job: while queued, what it waits for; while running, its thread, run, reruns and errors.

    Its timeline says what happened to it, and when.
    """
    client = Client()
    if raw:
        fields = {name: unpack_readable(field) for name, field in client.store.fields(job).items()}
        write_line(json.dumps(fields, indent=2))  # ASCII, because bytes may be damaged
        return
    record = client.get(job)
    summary = facts_of(client, record)
    if as_json:
        timeline = [entry._asdict() for entry in record.full_timeline]
        write_json(summary | {"timeline": timeline, "job": record.job.model_dump(mode="json", exclude_defaults=True)})
        return
    if record.result and not record.result.usage.is_reported:
        summary["tokens"] = record.result.usage.in_words
    for name, value in summary.items():
        if value not in (None, []):
            write_line(f"{name:<14} {', '.join(value) if isinstance(value, list) else value}")
    write_line("\ntimeline, in seconds since the job was created")
    for entry in record.full_timeline:
        write_line(timeline_line(entry))


def timeline_line(entry: TimelineEntry) -> str:
    """Returns an entry of a timeline as a line of text."""
    times = f" ({entry.times} times)" if entry.times > 1 else ""
    return f"{entry.at_s:>10.3f}  {entry.kind + times:<14} {' '.join(entry.detail.split())}".rstrip()
