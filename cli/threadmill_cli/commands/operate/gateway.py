"""`threadmill gateway` serves jobs over HTTP, with the pages of the dashboard; `threadmill dashboard` these alone."""

import os
from typing import Annotated

import typer

from threadmill.settings.settings import Settings
from threadmill_cli.app import LocalFlag
from threadmill_cli.command import examples
from threadmill_cli.commands.operate.services import LogLevel, run_with_own_services
from threadmill_cli.extras import program


def add_to(app: typer.Typer) -> None:
    app.command(epilog=examples("threadmill gateway --port 8080", "threadmill gateway --local --endpoint emulator"))(
        gateway
    )
    app.command(epilog=examples("threadmill dashboard", "threadmill dashboard --local --endpoint emulator"))(dashboard)


Host = Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")]
Port = Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="Port to listen on.")]
RootPath = Annotated[str, typer.Option(metavar="PATH", help="Path under which a proxy publishes it.")]
Proxies = Annotated[
    str, typer.Option(metavar="IPS", help="Proxies whose X-Forwarded headers count, with commas. Default: none.")
]
ReadOnly = Annotated[bool, typer.Option("--read-only", help="Let the pages of the dashboard change nothing.")]
LocalEndpoint = Annotated[
    str | None, typer.Option(metavar="NAME", help="With --local: the endpoint of jobs that name none.")
]
Level = Annotated[LogLevel, typer.Option(help="Lowest level of log lines to write.")]


def gateway(
    host: Host = "127.0.0.1",
    port: Port = 8080,
    max_body_bytes: Annotated[
        int, typer.Option(min=1000, metavar="N", help="Longest body of a request, in bytes.")
    ] = 10_000_000,
    root_path: RootPath = "",
    forwarded_allow_ips: Proxies = "",
    no_dashboard: Annotated[bool, typer.Option("--no-dashboard", help="Serve no pages.")] = False,
    read_only: ReadOnly = False,
    local: LocalFlag = False,
    endpoint: LocalEndpoint = None,
    log_level: Level = "info",
) -> None:
    """Serve jobs over HTTP, and the pages of the dashboard, until SIGTERM or Ctrl-C.

    Workers run the jobs: start them with `threadmill worker`, or use --local.
    """
    options = ["--max-body-bytes", str(max_body_bytes), *(["--no-dashboard"] if no_dashboard else [])]
    _serve(host, port, root_path, forwarded_allow_ips, read_only, local, endpoint, log_level, options)


def dashboard(
    host: Host = "127.0.0.1",
    port: Port = 8090,
    root_path: RootPath = "",
    forwarded_allow_ips: Proxies = "",
    read_only: ReadOnly = False,
    local: LocalFlag = False,
    endpoint: LocalEndpoint = None,
    log_level: Level = "info",
) -> None:
    """Serve pages that show jobs, batches and reports, until SIGTERM or Ctrl-C.

    `threadmill gateway` serves them, too, beside the API.
    """
    _serve(host, port, root_path, forwarded_allow_ips, read_only, local, endpoint, log_level, ["--no-api"])


def _serve(
    host: str,
    port: int,
    root_path: str,
    forwarded_allow_ips: str,
    read_only: bool,
    local: bool,
    endpoint: str | None,
    log_level: LogLevel,
    options: list[str],
) -> None:
    if endpoint is not None and not local:
        raise typer.BadParameter("is for --local: add it, or set default_endpoint", param_hint="'--endpoint'")
    Settings.load()  # reports a mistake in one line
    command = [*program("gateway"), "--host", host, "--port", str(port), *options]
    command += ["--read-only"] if read_only else []
    command += ["--root-path", root_path, "--forwarded-allow-ips", forwarded_allow_ips, "--log-level", log_level]
    if local:
        run_with_own_services(command, endpoint)
    os.execv(command[0], command)
