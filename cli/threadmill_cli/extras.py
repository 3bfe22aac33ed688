"""The parts of threadmill that are extras: the worker's code, for commands that call servers, and programs to start."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from typing import Literal

from threadmill.errors import ThreadmillError
from threadmill.installation import install_command

Extra = Literal["worker", "emulator"]

#: A package that each extra brings.
_PACKAGES: dict[Extra, str] = {"worker": "openai", "emulator": "starlette"}


def program(extra: Extra) -> list[str]:
    """Returns the command that runs the worker or the emulator. Raises ThreadmillError if it is not installed."""
    _require(extra)
    return [sys.executable, "-m", f"threadmill_{extra}"]


@contextmanager
def worker_code() -> Iterator[None]:
    """Lets a command import `threadmill_worker.admin`, which takes a second, and call it.

    The user's tools are found in the working directory, as a worker finds them; what they print goes to stderr.
    Raises ThreadmillError if the worker is not installed.
    """
    _require("worker")
    if (folder := os.getcwd()) not in sys.path:
        sys.path.insert(0, folder)
    with redirect_stdout(sys.stderr):
        yield


def _require(extra: Extra) -> None:
    if find_spec(_PACKAGES[extra]) is None:
        raise ThreadmillError(f"the {extra} is not installed here: {install_command(extra)}")
