"""`threadmill workers`: lists the running workers."""

from datetime import datetime

import typer

from threadmill.client import Client
from threadmill.store.records.worker import SKEW_LIMIT_S, Worker
from threadmill_cli.app import AsJson, note, write_json
from threadmill_cli.command import examples
from threadmill_cli.rendering.table import write_table
from threadmill_cli.rendering.times import show_skew, show_span
from threadmill_cli.rendering.waiting import show_awaited_pool, show_failing_endpoint, show_left_alone

#: By whether the consumer takes messages.
_STATES = {True: "ok", False: "deaf", None: "-"}


def add_to(app: typer.Typer) -> None:
    app.command(epilog=examples("threadmill workers", "threadmill workers --json"))(workers)


def workers(as_json: AsJson = False) -> None:
    """List running workers: their jobs and endpoints. Notes endpoints that hold jobs back or give no usable replies."""
    client = Client()
    alive = client.workers()
    if as_json:
        write_json([worker.model_dump(mode="json") for worker in alive])
        return
    now = client.store.now()
    write_table(
        ("worker", "state", "jobs", "memory", "up", "seen", "version", "endpoints"),
        [_row(worker, now) for worker in alive],
    )
    if not alive:
        note("no worker is alive; start one: threadmill worker")
    count = client.store.dead_letter_count()
    if count:
        note(f"messages that could not be delivered: {count:,}; to list them: threadmill dead-letters")
    for pool in client.awaited_pools():
        note(show_awaited_pool(pool))
    for worker in alive:
        if worker.is_consuming is False:
            note(
                f"{worker.name}: it is deaf: Celery's consumer takes no messages; it restarts by itself, or restart it"
            )
        if worker.left_alone:
            note(show_left_alone(worker))
        for failing in worker.failing_endpoints:
            note(f"{worker.name}: {show_failing_endpoint(failing)}")
        if abs(worker.clock_skew_s) > SKEW_LIMIT_S:
            note(f"{worker.name}: its machine's clock is {show_skew(worker.clock_skew_s)}; synchronise it with NTP")


def _row(worker: Worker, now: datetime) -> list[str]:
    return [
        worker.name,
        _STATES[worker.is_consuming],
        f"{worker.jobs}/{worker.concurrency}",
        f"{worker.memory_bytes / 1_000_000:,.0f} MB" if worker.memory_bytes else "-",
        show_span(now - worker.started_at) if worker.started_at else "-",
        f"{show_span(now - worker.seen_at)} ago",
        worker.version or "-",
        ", ".join(worker.endpoints) or "none",
    ]
