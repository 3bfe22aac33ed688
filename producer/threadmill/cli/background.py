"""More than one process at the same batch: one goes on alone, one waits for another."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from threadmill.cli.app import err, put
from threadmill.documents.document import STDIN

_SAY_EVERY_S = 10.0


def say_who_is_there(out: Path) -> Callable[[str], None]:
    """To be called again and again while another process works on the results."""
    said_at = 0.0

    def say_so(process: str) -> None:
        nonlocal said_at
        if time.monotonic() - said_at >= _SAY_EVERY_S or not said_at:
            said_at = time.monotonic()
            lines = sum(1 for _ in out.open("rb")) if out.exists() else 0
            err.print(f"Process {process} works on {out} ({lines:,} lines); waiting for it.", soft_wrap=True)

    return say_so


def detach_from_here(batch: str, paths: Sequence[str], out: Path, local: bool) -> None:
    """Leaves the command that we are to a process of its own."""
    if str(STDIN) in paths:
        raise typer.BadParameter("nobody types into the background: save what comes on stdin as a file")
    if local:
        raise typer.BadParameter("--local ends with its command: leave --detach out, or use a Redis that stays")
    log = out.with_name(out.name + ".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "threadmill", *(each for each in sys.argv[1:] if each != "--detach")]
    with log.open("ab") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True)
    put(batch)
    err.print(
        f"Process {process.pid} goes on in the background and writes {out}, its log is {log}.\n"
        f"To see how far it is: threadmill attach {batch} | to stop it: threadmill cancel --batch {batch}",
        soft_wrap=True,
        markup=False,
    )
