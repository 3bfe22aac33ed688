"""`threadmill health`: whether the worker of this machine, or a gateway, is ready. For probes that run a command."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import typer

from threadmill.client import Client
from threadmill.errors import StoreUnavailable
from threadmill.settings.settings import Settings
from threadmill.store.records.worker import Worker
from threadmill_cli.app import AsJson, Exit, note, write_json
from threadmill_cli.command import examples

#: How long a worker or a gateway has to answer, in seconds.
_ANSWER_S = 5.0

_GATEWAY_PORT = 8080
_LOOPBACK = "127.0.0.1"
_WILDCARDS = ("0.0.0.0", "::")


def add_to(app: typer.Typer) -> None:
    app.command(
        epilog=examples("threadmill health", "threadmill health --live", "threadmill health gateway --port 8080")
    )(health)


def health(
    what: Annotated[Literal["worker", "gateway"], typer.Argument(help="What to ask, on this machine.")] = "worker",
    live: Annotated[
        bool, typer.Option("--live", help="Only whether it is alive: whether a restart would help if it is not.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65_535,
            metavar="N",
            help="Its port. Default: the setting worker_health_port, without which Redis is asked; of a gateway, 8080.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a worker of this machine runs jobs, or a gateway takes them; exit 1 if not."""
    reasons = _of_gateway(port or _GATEWAY_PORT, live) if what == "gateway" else _of_worker(port, live)
    if as_json:
        write_json({"status": "failing" if reasons else "ok", "reasons": reasons})
    else:
        typer.echo("ok" if not reasons else "\n".join(reasons))
    if reasons:
        raise typer.Exit(Exit.FAILED)


def _of_gateway(port: int, live: bool) -> list[str]:
    status, body = _asked(_LOOPBACK, port, "/healthz" if live else "/readyz")
    if status is None or status < 400:
        return [] if status else [f"no gateway answers on port {port}: {body}"]
    said = _object(body)
    return [str(said.get("detail") or f"the gateway answers with status {status}")]


def _of_worker(port: int | None, live: bool) -> list[str]:
    settings = Settings.load()
    port = port or settings.worker_health_port
    if port is None:
        return _announced(settings, live)
    host = settings.worker_monitoring_host
    status, body = _asked(_LOOPBACK if host in _WILDCARDS else host, port, "/livez" if live else "/readyz")
    if status is None or status < 400:
        return [] if status else [f"no worker answers on port {port}: {body}"]
    return _reasons(_object(body)) or [f"the worker answers with status {status}"]


def _reasons(said: dict[str, Any]) -> list[str]:
    """The reasons in the reply of a worker, or of the supervisor of several."""
    processes = said.get("processes", {}).items()
    own = [f"process {number}: {reason}" for number, each in processes for reason in each.get("reasons", ())]
    return own or [str(reason) for reason in said.get("reasons", ())]


def _announced(settings: Settings, live: bool) -> list[str]:
    """Asks Redis what the workers of this machine announce."""
    try:
        workers = Client(settings).workers()
    except StoreUnavailable as error:
        if not live:
            return [str(error)]
        note(f"threadmill: {error}; whether the worker lives is not known, and a restart would not help")
        return []
    return why_not([each for each in workers if each.name.partition(":")[0] == socket.gethostname()], live=live)


def why_not(workers: Sequence[Worker], *, live: bool) -> list[str]:
    """Returns why none of these workers is alive, or ready; nothing if one is. PURE."""
    if not workers:
        return ["no worker of this machine has announced itself to Redis in the last seconds"]
    reasons = []
    for worker in workers:
        if worker.is_consuming is False:
            reasons.append(f"{worker.name} is deaf: Celery's consumer takes no messages")
        elif not live and not worker.endpoints:
            reasons.append(f"{worker.name}: no endpoint has its key; set the variable in its `api_key_env`")
        else:
            return []
    return reasons


def _asked(host: str, port: int, path: str) -> tuple[int | None, str]:
    """Returns the status and the body of a reply; None and the reason if there is none."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{f'[{host}]' if ':' in host else host}:{port}{path}", timeout=_ANSWER_S) as reply:
            return reply.status, reply.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode("utf-8", "replace")
    except urllib.error.URLError as error:
        return None, str(error.reason)
    except (OSError, ValueError) as error:
        return None, str(error)


def _object(body: str) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
