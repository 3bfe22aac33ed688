"""The parts of threadmill that are extras: the worker's code, for commands that call servers, and programs to start."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Literal

from threadmill.installation import require

Extra = Literal["worker", "emulator", "gateway"]


def program(extra: Extra) -> list[str]:
    """Returns the command that runs a part of threadmill. Raises MissingExtra if it is not installed."""
    require(extra)
    return [sys.executable, "-m", f"threadmill_{extra}"]


@contextmanager
def worker_code() -> Iterator[None]:
    """Lets a command import `threadmill_worker.admin`, which takes a second, and call it.

    The user's tools are found in the working directory, as a worker finds them; what they print goes to stderr.
    Raises MissingExtra if the worker is not installed.
    """
    require("worker")
    if (folder := os.getcwd()) not in sys.path:
        sys.path.insert(0, folder)
    with redirect_stdout(sys.stderr):
        yield
