"""`threadmill endpoints`: limits of endpoints, jobs that wait for them, and how long runs take; pauses endpoints."""

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

import typer

from threadmill.client import Client
from threadmill.store.records.durations import RunDurations
from threadmill.store.records.pool import PoolLimit, PoolRecord
from threadmill_cli.app import AsJson, note, write_json, write_line
from threadmill_cli.command import ListGroup, examples
from threadmill_cli.rendering.table import write_table
from threadmill_cli.rendering.times import show_moment, show_span

Name = Annotated[str, typer.Argument(metavar="NAME", help="Endpoint in the settings.", show_default=False)]

#: Where a limit comes from.
_SOURCES = {
    "settings": "set",
    "headers": "from the server's headers",
    "refusals": "estimated from the server's refusals",
}


def add_to(app: typer.Typer) -> None:
    endpoints = typer.Typer(
        cls=ListGroup,
        help="Watch the limits of endpoints and the jobs that wait for them, and pause endpoints.\n\n"
        "`threadmill endpoints` alone lists them.",
        epilog=examples("threadmill endpoints", "threadmill endpoints pause davinci --reason 'maintenance until 6'"),
    )
    endpoints.command("list", epilog=examples("threadmill endpoints list", "threadmill endpoints list --json"))(list_)
    endpoints.command(epilog=examples("threadmill endpoints show davinci", "threadmill endpoints show davinci --json"))(
        show
    )
    endpoints.command(
        epilog=examples(
            "threadmill endpoints pause davinci", "threadmill endpoints pause davinci --reason 'maintenance until 6'"
        )
    )(pause)
    endpoints.command(epilog=examples("threadmill endpoints resume davinci"))(resume)
    app.add_typer(endpoints, name="endpoints")


def list_(as_json: AsJson = False) -> None:
    """List the pools of all endpoints: limits, jobs that use and await them, and why they hold jobs back.

    A pool is the share of a server that one set of limits applies to: ENDPOINT, ENDPOINT/MODEL, or one for each key.
    """
    pools = Client().endpoint_pools()
    if as_json:
        write_json([_summary(pool) for pool in pools])
        return
    write_table(
        ("pool", "requests/min", "tokens/min", "jobs", "waiting", "refused", "state"), [_row(pool) for pool in pools]
    )


def show(name: Name, as_json: AsJson = False) -> None:
    """Show the pools of an endpoint in full, and how long its runs take.

    The workers poll a run when earlier runs of its assistant and model ended. The durations of the last runs of each
    are listed: from the start of a run, or from its last tool outputs, to its answer or its next tool calls.
    """
    client = Client()
    pools = client.endpoint_pools(name)
    durations = client.run_durations(client.settings.endpoint_name(name))
    if as_json:
        write_json({"pools": list(map(_summary, pools)), "durations": list(map(asdict, durations))})
        return
    for number, pool in enumerate(pools):
        if number:
            write_line("")
        _write(pool)
    if durations:
        write_line("")
        write_table(("assistant", "model", "runs", "median", "90th percentile"), list(map(_duration_row, durations)))


def pause(
    name: Name,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for those who wait for their jobs.")] = "",
) -> None:
    """Stop starting runs on an endpoint; its jobs wait, and jobs under way continue."""
    Client().pause_endpoint(name, reason)
    note(f"{name} is paused; to resume it: threadmill endpoints resume {name}")


def resume(name: Name) -> None:
    """Start runs on a paused endpoint again."""
    was_paused = Client().resume_endpoint(name)
    note(f"{name} is resumed" if was_paused else f"{name} was not paused")


def _summary(pool: PoolRecord) -> dict[str, Any]:
    """Returns the pool for --json."""
    return pool.model_dump(mode="json") | {"wait_reason": pool.wait_reason}


def _row(pool: PoolRecord) -> list[str]:
    return [
        pool.label,
        _cell(pool.requests),
        _cell(pool.tokens),
        _jobs(pool),
        f"{pool.waiting:,}",
        f"{pool.refused:,}",
        pool.state,
    ]


def _jobs(pool: PoolRecord) -> str:
    if pool.concurrent is None:
        return f"{pool.jobs:,}"
    source = "" if pool.concurrent_source == "settings" else f" ({pool.concurrent_source})"
    return f"{pool.jobs:,}/{pool.concurrent:,}{source}"


def _cell(limit: PoolLimit | None) -> str:
    if limit is None:
        return "-"
    return f"{limit}" if limit.source == "settings" else f"{limit} ({limit.source})"


def _duration_row(durations: RunDurations) -> list[str]:
    return [
        durations.assistant or "-",
        durations.model or "-",
        f"{durations.runs}",
        f"{durations.median_s:,.1f} s",
        f"{durations.p90_s:,.1f} s",
    ]


def _write(pool: PoolRecord) -> None:
    for label, value in {
        "pool": pool.label,
        "state": pool.state,
        "shut until": f"{show_moment(pool.shut_until)} UTC" if pool.shut_until else None,
        "requests": _limit(pool.requests),
        "tokens": _limit(pool.tokens),
        "starts": f"{pool.starts_per_minute:,.0f} a minute now",
        "jobs": f"{pool.jobs:,}{_at_a_time(pool)}",
        "waiting": f"{pool.waiting:,}",
        "refused": f"{pool.refused:,}",
        "last used": pool.used_at and _ago(pool.read_at - pool.used_at),
    }.items():
        if value:
            write_line(f"{label:<12} {value}")


def _at_a_time(pool: PoolRecord) -> str:
    if pool.concurrent is None or pool.concurrent_source is None:
        return ""
    return f" of {pool.concurrent:,}, {_SOURCES[pool.concurrent_source]}"


def _ago(age: timedelta) -> str:
    """The time is known to the minute."""
    return "within the last minute" if age < timedelta(minutes=1) else f"{show_span(age)} ago"


def _limit(limit: PoolLimit | None) -> str:
    if limit is None:
        return "no limit known"
    row = f"; the next start has its turn in {limit.row_s:,.1f} s" if limit.row_s >= 0.1 else ""
    return f"{limit} a minute, {_SOURCES[limit.source]}{row}"
