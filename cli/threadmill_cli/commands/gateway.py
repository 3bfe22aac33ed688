"""`threadmill gateway`: serves jobs over HTTP."""

import os
from typing import Annotated

import typer

from threadmill.settings.settings import Settings
from threadmill_cli.app import LocalFlag
from threadmill_cli.command import examples
from threadmill_cli.commands.services import LogLevel, run_with_own_services
from threadmill_cli.extras import program


def add_to(app: typer.Typer) -> None:
    app.command(epilog=examples("threadmill gateway --port 8080", "threadmill gateway --local --endpoint emulator"))(
        gateway
    )


def gateway(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="Port to listen on.")] = 8080,
    max_body_bytes: Annotated[
        int, typer.Option(min=1000, metavar="N", help="Longest body of a request, in bytes.")
    ] = 10_000_000,
    root_path: Annotated[
        str, typer.Option(metavar="PATH", help="Path under which a proxy publishes the gateway.")
    ] = "",
    forwarded_allow_ips: Annotated[
        str, typer.Option(metavar="IPS", help="Proxies whose X-Forwarded headers count, with commas. Default: none.")
    ] = "",
    local: LocalFlag = False,
    endpoint: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --local: the endpoint of jobs that name none.")
    ] = None,
    log_level: Annotated[LogLevel, typer.Option(help="Lowest level of log lines to write.")] = "info",
) -> None:
    """Serve jobs over HTTP until SIGTERM or Ctrl-C.

    Workers run the jobs: start them with `threadmill worker`, or use --local.
    """
    if endpoint is not None and not local:
        raise typer.BadParameter("is for --local: add it, or set default_endpoint", param_hint="'--endpoint'")
    Settings.load()  # reports a mistake in one line
    command = [*program("gateway"), "--host", host, "--port", str(port), "--max-body-bytes", str(max_body_bytes)]
    command += ["--root-path", root_path, "--forwarded-allow-ips", forwarded_allow_ips, "--log-level", log_level]
    if local:
        run_with_own_services(command, endpoint)
    os.execv(command[0], command)
