"""Commands on batches that were enqueued: how they stand, what they cost."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from threadmill.cli.app import AsJson, put, put_json
from threadmill.client import Client
from threadmill.prices import Cost, cost
from threadmill.record import BatchRecord
from threadmill.result import JobState

BatchName = Annotated[str, typer.Argument(metavar="NAME", help="Name of a batch.", show_default=False)]


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Then: threadmill batch-status NAME | threadmill jobs --batch NAME")(batches)
    app.command(epilog="Example: watch threadmill batch-status NAME")(batch_status)


def batches(as_json: AsJson = False) -> None:
    """List batches: how their jobs stand and what they cost, those that changed last first."""
    client = Client()
    found = [(batch, cost(batch.usage_by_model, client.settings.prices)) for batch in client.batches()]
    if as_json:
        put_json([_summary(batch, spent) for batch, spent in found])
        return
    for batch, spent in found:
        tokens = f"{batch.usage.total_tokens:,} tokens" + (f", {spent}" if spent.amount is not None else "")
        put(f"{batch.name}  {batch.changed_at:%Y-%m-%d %H:%M:%S}  {batch.total:,} jobs: {_states(batch)}  {tokens}")


def batch_status(name: BatchName, as_json: AsJson = False) -> None:
    """Show how a batch stands: jobs by state, tokens, cost, why jobs failed."""
    client = Client()
    batch = client.batch(name)
    spent = cost(batch.usage_by_model, client.settings.prices)
    if as_json:
        put_json(_summary(batch, spent))
        return
    failures = ", ".join(f"{number:,} {kind}" for kind, number in batch.failures.items())
    for label, value in (
        ("batch", batch.name),
        ("documents", batch.documents),
        ("jobs", f"{batch.total:,}: {_states(batch)}"),
        ("failures", failures or None),
        ("tokens", _tokens(batch)),
        ("cost", spent),
        ("calls", f"{batch.calls:,}"),
        ("changed at", f"{batch.changed_at:%Y-%m-%d %H:%M:%S} UTC"),
    ):
        if value is not None:
            put(f"{label:<12} {value}")


def _states(batch: BatchRecord) -> str:
    return ", ".join(f"{batch.jobs[state]:,} {state}" for state in JobState if batch.jobs.get(state))


def _tokens(batch: BatchRecord) -> str:
    usage = batch.usage
    return f"{usage.total_tokens:,}: {usage.prompt_tokens:,} read, {usage.completion_tokens:,} written"


def _summary(batch: BatchRecord, spent: Cost) -> dict[str, Any]:
    """All of it, for programs."""
    return {
        **batch.model_dump(mode="json"),
        "total": batch.total,
        "usage": batch.usage.model_dump(),
        "cost": asdict(spent),
    }
