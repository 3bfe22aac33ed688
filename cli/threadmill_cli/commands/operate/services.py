"""The commands `worker`, `emulator` and `local`, which run other programs."""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from threadmill.errors import ThreadmillError
from threadmill.settings.settings import Settings
from threadmill_cli.app import Endpoint
from threadmill_cli.command import examples
from threadmill_cli.environment import open_environment
from threadmill_cli.extras import program

LogLevel = Literal["debug", "info", "warning", "error"]


def add_to(app: typer.Typer) -> None:
    app.command(
        context_settings={"allow_interspersed_args": False},  # options after COMMAND belong to it
        epilog=examples(
            "threadmill local --endpoint emulator -- python my_service.py", "threadmill local -- threadmill jobs"
        ),
    )(local)
    app.command(epilog=examples("threadmill worker --concurrency 200", "threadmill worker --processes auto"))(worker)
    app.command(
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
        epilog=examples("threadmill emulator --port 8089 --run-s 2"),
    )(emulator)


def local(
    command: Annotated[list[str], typer.Argument(metavar="COMMAND", help="The program and its arguments.")],
    endpoint: Endpoint = None,
) -> None:
    """Run a program with its own Redis and worker; with --endpoint emulator, also the emulator.

    Its jobs go to --endpoint unless they name another, and may use files in the working directory.
    """
    run_with_own_services(command, endpoint)


def worker(
    concurrency: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Jobs at a time in each process. Default: the setting `concurrency`, 100."
        ),
    ] = None,
    processes: Annotated[
        str | None,
        typer.Option(
            metavar="N|auto",
            help="Processes to run under a supervisor, which restarts them; auto: one per core. "
            "Default: the setting `processes`, 1, without a supervisor.",
        ),
    ] = None,
    health_port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65_535, metavar="N", help="Answer probes here: /livez, /readyz. Default: worker_health_port."
        ),
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65_535,
            metavar="N",
            help="Serve /metrics for Prometheus here; may be the port of --health-port. Default: worker_metrics_port.",
        ),
    ] = None,
    log_level: Annotated[LogLevel, typer.Option(help="Lowest level of log lines to write.")] = "info",
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            "-n",
            help="Node name in Flower and `celery inspect`; the processes of w are w-1, w-2. Default: a unique one.",
        ),
    ] = None,
) -> None:
    """Run a worker until SIGTERM or Ctrl-C."""
    Settings.load()  # reports a mistake in one line
    options = ["--log-level", log_level]
    if name is not None:
        options += ["--name", name]
    if concurrency is not None:
        options += ["--concurrency", str(concurrency)]
    if processes is not None:
        options += ["--processes", processes]
    for option, port in (("--health-port", health_port), ("--metrics-port", metrics_port)):
        if port is not None:
            options += [option, str(port)]
    _exec([*program("worker"), *options])


def emulator(context: typer.Context) -> None:
    """Serve an emulated Assistants and Responses API."""
    _exec([*program("emulator"), *context.args])


def run_with_own_services(command: list[str], endpoint: str | None) -> NoReturn:
    """Runs a command with a Redis, a worker and perhaps an emulator of its own, and exits with its code."""
    settings = Settings.load()
    name = settings.endpoint_name(endpoint) if endpoint else settings.usual_endpoint()
    roots = (*settings.file_roots, Path.cwd())
    with open_environment(settings.model_copy(update={"file_roots": roots}), True, name) as env:
        environment = {**os.environ, **env.variables}
        if name is not None:
            environment["THREADMILL_DEFAULT_ENDPOINT"] = name
        code = _run(command, environment, env.check)
    raise typer.Exit(code if code >= 0 else 128 - code)


def _run(command: list[str], environment: Mapping[str, str], check: Callable[[], None]) -> int:
    """Runs the command and returns its exit code. Stops it if a process that it needs has ended."""
    try:
        program = subprocess.Popen(command, env=environment)
    except OSError as error:
        raise ThreadmillError(f"cannot run {command[0]}: {error.strerror or error}") from None
    # Else SIGTERM would end this process and leave the program.
    signal.signal(signal.SIGTERM, lambda number, _: program.send_signal(number))
    with program:
        try:
            while True:
                try:
                    return program.wait(timeout=1)
                except subprocess.TimeoutExpired:
                    check()
        except BaseException:
            program.terminate()
            raise


def _exec(command: list[str]) -> None:
    """Replaces this process by the command, which gets its signals and returns its own exit code."""
    os.execv(command[0], command)
