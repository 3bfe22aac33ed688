"""Runs a batch in a background process, and waits for another process that works on the same results."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import typer

from threadmill.batch.file_lock import lock_holder, lock_path
from threadmill.documents.document import STDIN
from threadmill.errors import ThreadmillError
from threadmill_cli.app import err, write_line

_NOTE_EVERY_S = 10.0

#: How long the command waits for its background process to start, to report an error that ends it at once.
_START_S, _POLL_EVERY_S, _FIRST_STEPS_S = 30.0, 0.1, 0.5


def lock_notifier(out: Path) -> Callable[[str], None]:
    """Returns a function to call repeatedly while another process works on the results; it writes notes."""
    noted_at = 0.0

    def notify(process: str) -> None:
        nonlocal noted_at
        if time.monotonic() - noted_at >= _NOTE_EVERY_S or not noted_at:
            noted_at = time.monotonic()
            lines = sum(1 for _ in out.open("rb")) if out.exists() else 0
            err.print(f"Process {process} works on {out} ({lines:,} lines); waiting for it.", soft_wrap=True)

    return notify


def log_path(out: Path) -> Path:
    """Returns the file for the output of a batch in the background."""
    return out.with_name(out.name + ".log")


def run_in_background(batch: str, paths: Sequence[str], out: Path, local: bool) -> None:
    """Runs this command, whose questions were confirmed, in a background process.

    Raises BadParameter; ThreadmillError if a process works on `out` already; Exit if the process fails at once.
    """
    if str(STDIN) in paths:
        raise typer.BadParameter("--detach cannot read stdin; save the input to a file")
    if local:
        raise typer.BadParameter("--local ends with its command: leave out --detach, or use a Redis that keeps running")
    watch = f"To watch it: threadmill batch attach {batch}"
    if (holder := lock_holder(out)) is not None:
        raise ThreadmillError(f"process {holder} already works on {out}; nothing was started. {watch}")
    log = log_path(out)
    log.parent.mkdir(parents=True, exist_ok=True)
    arguments = sys.argv[3:] if sys.argv[2:3] == ["run"] else sys.argv[2:]
    arguments = ["--yes", *(each for each in arguments if each not in ("--detach", "--yes"))]
    with log.open("ab") as file:
        begins_at = file.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "threadmill", "batch", "run", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    _await_start(process, out, log, begins_at)
    write_line(batch)
    err.print(
        f"Process {process.pid} runs in the background and writes {out}; its log is {log}.\n"
        f"{watch} | to stop it: threadmill batch cancel {batch}",
        soft_wrap=True,
        markup=False,
    )


def _await_start(process: "subprocess.Popen[bytes]", out: Path, log: Path, begins_at: int) -> None:
    """Waits until the process works on `out`. If it fails at once, shows its output and exits with its code."""
    stop_at, lock = time.monotonic() + _START_S, lock_path(out)
    while process.poll() is None and time.monotonic() < stop_at and not _holds(process.pid, lock):
        time.sleep(_POLL_EVERY_S)
    with suppress(subprocess.TimeoutExpired):  # it may still refuse the content of `out`
        process.wait(_FIRST_STEPS_S)
    if process.returncode:
        with log.open("rb") as file:
            file.seek(begins_at)
            err.print(file.read().decode("utf-8", "replace").strip(), soft_wrap=True, markup=False)
        raise typer.Exit(process.returncode)


def _holds(process: int, lock: Path) -> bool:
    try:
        return lock.read_text() == str(process)
    except FileNotFoundError:
        return False
