"""`threadmill doctor`: is all there that a job needs? Says what to fix."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from threadmill.cli.app import AsJson, Endpoint, Exit, Here, LocalFlag, put, put_json, started
from threadmill.cli.asking import ask_worker
from threadmill.cli.command import examples
from threadmill.client import Client
from threadmill.errors import ThreadmillError
from threadmill.settings import Settings, find_config

#: A worker announces itself every second; one not heard of for so long is gone.
_ALIVE = timedelta(seconds=15)

#: How long the worker of --local may take to announce itself, in seconds.
_START_S = 20.0


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    check: str
    ok: bool
    detail: str


class Unwell(ThreadmillError):
    """A check failed; the text says what to fix."""


def add_to(app: typer.Typer) -> None:
    app.command(
        epilog=examples(
            "threadmill doctor", "threadmill doctor --no-prompt", "threadmill doctor --endpoint emulator --local"
        )
    )(doctor)


def doctor(
    endpoint: Endpoint = None,
    timeout_s: Annotated[float, typer.Option("--timeout-s", min=1, help="For the round trip, in seconds.")] = 60,
    local: LocalFlag = False,
    as_json: AsJson = False,
) -> None:
    """Check settings, Redis, endpoint and workers, then send one prompt on a round trip."""
    findings = []
    for finding in _examine(endpoint, timeout_s, local):
        findings.append(finding)
        if not as_json:
            put(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.check:<10}  {finding.detail}")
    if as_json:
        put_json([asdict(finding) for finding in findings])
    if not all(finding.ok for finding in findings):
        raise typer.Exit(Exit.FAILED)


def _examine(endpoint: str | None, timeout_s: float, local: bool) -> Iterator[Finding]:
    """Each check stands on the ones before it, so the first that fails is the last."""
    checking = "settings"
    try:
        settings = Settings.load()
        name = settings.endpoint_name(endpoint)
        yield Finding(checking, True, f"{find_config() or 'from the environment'}; endpoint {name}")
        checking = "redis"
        with started(settings, local, name) as here:
            client = Client(here.settings)
            yield Finding(checking, True, f"version {client.store.ping()}")
            checking = "endpoint"
            yield Finding(checking, True, _endpoint(name, here))
            checking = "workers"
            yield Finding(checking, True, _workers(client, name, _START_S if local else 0))
            checking = "round trip"
            yield Finding(checking, True, _round_trip(client, name, timeout_s))
    except ThreadmillError as error:
        yield Finding(checking, False, str(error))


def _endpoint(name: str, here: Here) -> str:
    """Asks the worker's own driver."""
    report = ask_worker("probe", name, environment=here.environment)
    if not report["ok"]:
        raise Unwell(report["detail"])
    return str(report["detail"])


def _workers(client: Client, name: str, patience_s: float) -> str:
    give_up_at = time.monotonic() + patience_s
    while True:
        alive = [worker for worker in client.store.workers() if datetime.now(UTC) - worker.seen_at < _ALIVE]
        if any(name in worker.endpoints for worker in alive):
            return ", ".join(f"{worker.name} ({worker.jobs}/{worker.concurrency} jobs)" for worker in alive)
        if time.monotonic() >= give_up_at:
            break
        time.sleep(0.1)
    if alive:
        variable = client.settings.endpoints[name].api_key_env
        raise Unwell(f"{len(alive)} alive, but none has the key of {name!r}: set {variable} where the worker runs")
    raise Unwell("none is alive: start one with `threadmill worker`")


def _round_trip(client: Client, name: str, timeout_s: float) -> str:
    handle = client.enqueue({"prompt": "Answer with the word: pong", "endpoint": name, "timeout_s": timeout_s})
    result = handle.wait(timeout_s + 15)
    if not result.ok and result.failure:
        raise Unwell(f"{result.failure.kind}: {result.failure.message}")
    seconds = (result.timings.finished_at - result.timings.created_at).total_seconds()
    return f"{seconds:.1f} s, {result.calls} calls: {' '.join(result.text.split())[:60]!r}"
