"""`threadmill batch list`, `show` and `attach`."""

import time
from dataclasses import asdict
from typing import Annotated, Any

import typer

from threadmill.client import Client
from threadmill.job.result import JobState
from threadmill.settings.prices import Prices, cost
from threadmill.store.jobs.filters import JobFilter
from threadmill.store.records.batch import BatchRecord
from threadmill_cli.app import AsJson, Exit, note, write_json, write_line
from threadmill_cli.command import examples
from threadmill_cli.rendering.progress import Reporter, spent
from threadmill_cli.rendering.speed import speed_lines
from threadmill_cli.rendering.waiting import show_waits

_POLL_EVERY_S = 0.5

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a batch.", show_default=False)]


def add_to(group: typer.Typer) -> None:
    group.command("list", epilog=examples("threadmill batch list", "threadmill batch list --json"))(list_)
    group.command(epilog=examples("threadmill batch show notes", "watch threadmill batch show notes"))(show)
    group.command(epilog=examples("threadmill batch attach notes"))(attach)


def list_(as_json: AsJson = False) -> None:
    """List batches: jobs by state, tokens, cost. The latest change comes first."""
    client = Client()
    found, prices = client.batches(), client.settings.prices
    if as_json:
        write_json([_summary(batch, prices) for batch in found])
        return
    for batch in found:
        write_line(f"{batch.name}  {batch.changed_at:%Y-%m-%d %H:%M:%S}  {batch.total:,} jobs: {_state(batch, prices)}")


def show(name: Name, as_json: AsJson = False) -> None:
    """Show a batch: jobs by state, tokens, cost, failures by kind, how fast it is and how long its jobs took."""
    client = Client()
    batch, prices, stats = client.batch(name), client.settings.prices, client.batch_stats(name)
    if as_json:
        write_json(_summary(batch, prices) | {"stats": stats.model_dump(mode="json", exclude={"name"})})
        return
    _write(batch, prices)
    for label, value in speed_lines(batch, stats, client.store.now()):
        write_line(f"{label:<12} {value}")
    if batch.open and (waits := _waits(client, _endpoint_of(client, name))):
        note(waits)


def attach(name: Name) -> None:
    """Watch a batch until it finishes; Ctrl-C stops watching, not the batch."""
    client = Client()
    batch, prices = client.batch(name), client.settings.prices
    endpoint = _endpoint_of(client, name)
    with Reporter(batch.documents or batch.total) as reporter:
        while batch.seen_to or (batch.open and not batch.paused):
            _report(reporter, batch, prices, _waits(client, endpoint) if batch.open else "")
            time.sleep(_POLL_EVERY_S)
            batch = client.batch(name)
        _report(reporter, batch, prices)
    _write(batch, prices)
    if batch.paused and batch.open:
        note(f"{name} is paused; to resume it: threadmill batch resume {name}")
    elif batch.jobs.get(JobState.FAILED) or batch.jobs.get(JobState.CANCELLED):
        raise typer.Exit(Exit.FAILED)


def _write(batch: BatchRecord, prices: Prices) -> None:
    for label, value in {
        "batch": f"{batch.name} (paused)" if batch.paused else batch.name,
        "documents": batch.documents and f"{batch.documents:,}",
        "jobs": f"{batch.total:,}: {_states(batch)}",
        "at a time": batch.concurrent and f"at most {batch.concurrent:,}",
        "failures": ", ".join(f"{number:,} {kind}" for kind, number in batch.failures.items()),
        "tokens": _tokens(batch),
        "cost": f"{cost(batch.usage_by_model, prices)}",
        "calls": f"{batch.calls:,}",
        "changed at": f"{batch.changed_at:%Y-%m-%d %H:%M:%S} UTC",
    }.items():
        if value:
            write_line(f"{label:<12} {value}")


def _state(batch: BatchRecord, prices: Prices) -> str:
    """Returns jobs, tokens and cost in one line."""
    tokens = spent(batch.usage, cost(batch.usage_by_model, prices))
    return " · ".join(filter(None, [_states(batch), tokens, "paused" if batch.paused else ""]))


def _endpoint_of(client: Client, name: str) -> str | None:
    """Returns the endpoint of the batch's latest job, or None."""
    latest = client.store.jobs(JobFilter(batch=name), 1).jobs
    return latest[0].job.endpoint if latest else None


def _waits(client: Client, endpoint: str | None) -> str:
    """Returns what jobs of an endpoint wait for, in one line; None: of any endpoint."""
    return show_waits(client.failing_endpoints(endpoint), client.awaited_pools(endpoint))


def _report(reporter: Reporter, batch: BatchRecord, prices: Prices, waits: str = "") -> None:
    figures = [_states(batch), spent(batch.usage, cost(batch.usage_by_model, prices))]
    failed, state = f"{batch.jobs.get(JobState.FAILED, 0):,} failed", " · ".join(filter(None, figures))
    reporter.show(batch.ended, state, failed=failed, paused=batch.paused, waits=waits)


def _states(batch: BatchRecord) -> str:
    return ", ".join(f"{batch.jobs[state]:,} {state}" for state in JobState if batch.jobs.get(state))


def _tokens(batch: BatchRecord) -> str:
    usage = batch.usage
    if usage.unreported:
        return usage.in_words
    return f"{usage.total_tokens:,}: {usage.prompt_tokens:,} read, {usage.completion_tokens:,} written"


def _summary(batch: BatchRecord, prices: Prices) -> dict[str, Any]:
    """Returns the batch for --json."""
    return {
        **batch.model_dump(mode="json"),
        "total": batch.total,
        "usage": batch.usage.model_dump(),
        "cost": asdict(cost(batch.usage_by_model, prices)),
    }
