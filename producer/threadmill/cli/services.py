"""Commands that run other programs: worker, emulator, and anything that needs both for a while."""

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from threadmill.cli.app import Endpoint, started
from threadmill.errors import ThreadmillError
from threadmill.local import module
from threadmill.settings import Settings

LogLevel = Literal["debug", "info", "warning", "error"]


def add_to(app: typer.Typer) -> None:
    app.command(
        context_settings={"ignore_unknown_options": True},
        epilog="Example: threadmill local --endpoint emulator -- python my_service.py",
    )(local)
    app.command(epilog="Example: threadmill worker --concurrency 200")(worker)
    app.command(
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
        epilog="Example: threadmill emulator --port 8089 --run-s 2",
    )(emulator)


def local(
    command: Annotated[list[str], typer.Argument(metavar="COMMAND...", help="The program and its arguments.")],
    endpoint: Endpoint = None,
) -> None:
    """Run a program with Redis, a worker and, for endpoint `emulator`, the emulator, started for it.

    Its jobs go to that endpoint where they name none, and may name files of the working directory.
    """
    settings = Settings.load()
    name = settings.endpoint_name(endpoint)
    roots = (*settings.file_roots, Path.cwd())
    with started(settings.model_copy(update={"file_roots": roots}), True, name) as here:
        environment = {**os.environ, **here.environment, "THREADMILL_DEFAULT_ENDPOINT": name}
        code = _see_through(command, environment, here.check)
    raise typer.Exit(code if code >= 0 else 128 - code)


def worker(
    concurrency: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Jobs at a time. Default: the setting `concurrency`, 100.")
    ] = None,
    log_level: Annotated[LogLevel, typer.Option(help="The least important log lines to show.")] = "info",
    name: Annotated[
        str | None,
        typer.Option("--name", "-n", help="Node name in Flower and `celery inspect`. Default: a unique one."),
    ] = None,
) -> None:
    """Run a worker until SIGTERM or Ctrl-C."""
    Settings.load()  # reports a mistake in one line
    options = ["--log-level", log_level]
    if name is not None:
        options += ["--name", name]
    if concurrency is not None:
        options += ["--concurrency", str(concurrency)]
    _become([*module("threadmill_worker"), *options])


def emulator(context: typer.Context) -> None:
    """Serve an emulated Assistants API; for its options: threadmill emulator --help."""
    _become([*module("threadmill_emulator"), *context.args])


def _see_through(command: list[str], environment: Mapping[str, str], check: Callable[[], None]) -> int:
    """Runs it; gives its exit code. Stops it if one of the processes it needs has ended."""
    try:
        program = subprocess.Popen(command, env=environment)
    except OSError as error:
        raise ThreadmillError(f"cannot run {command[0]}: {error.strerror or error}") from None
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


def _become(command: list[str]) -> None:
    """Takes its place in this very process: signals and exit code are its own."""
    os.execv(command[0], command)
