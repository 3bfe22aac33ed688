"""Commands that become another process: worker and emulator."""

import os
from typing import Annotated

import typer

from threadmill.local import module
from threadmill.settings import Settings


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Example: threadmill worker --concurrency 200")(worker)
    app.command(
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
        epilog="Example: threadmill emulator --port 8089 --run-s 2",
    )(emulator)


def worker(
    concurrency: Annotated[int | None, typer.Option(min=1, help="Jobs at a time. Default: the settings', 100.")] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """See enqueued jobs through, until SIGTERM or Ctrl-C."""
    Settings.load()  # a mistake in them is told here, in one line
    options = ["--log-level", log_level]
    if concurrency is not None:
        options += ["--concurrency", str(concurrency)]
    _become([*module("threadmill_worker"), *options])


def emulator(context: typer.Context) -> None:
    """Serve an emulated Assistants API; for its options: threadmill emulator --help."""
    _become([*module("threadmill_emulator"), *context.args])


def _become(command: list[str]) -> None:
    """Takes its place in this very process: signals and exit code are its own."""
    os.execv(command[0], command)
