"""Locks a results file, so that one process at a time writes it."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from threadmill.errors import ThreadmillError
from threadmill.locks import claim_file, lock_file

_RETRY_EVERY_S = 0.5


@contextmanager
def file_lock(path: Path, wait: Callable[[str], None]) -> Iterator[None]:
    """Waits until no other process works on the file. Calls `wait` with the id of that process at every attempt.

    The lock is a file next to it; the system unlocks it when the process ends in any way.
    """
    lock = lock_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _claimed(lock, wait)
    except OSError as error:
        raise ThreadmillError(f"cannot write results to {path}: {error.strerror or error}") from None
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)  # before it is unlocked: a waiting process checks that its file still exists
        file.close()


def lock_path(path: Path) -> Path:
    """Returns the lock of a results file, which contains the id of the process that works on it."""
    return path.with_name(path.name + ".lock")


def lock_holder(path: Path) -> str | None:
    """Returns the id of the process that works on the file, or None."""
    try:
        with lock_path(path).open() as file:
            return lock_file(file)
    except FileNotFoundError:
        return None


def _claimed(lock: Path, wait: Callable[[str], None]) -> TextIO:
    while True:
        file = lock.open("a+")
        holder = claim_file(file)
        if holder is not None:
            wait(holder)
            time.sleep(_RETRY_EVERY_S)
        elif _is_current(lock, file):
            return file
        file.close()  # held by another process, or removed by the previous holder


def _is_current(lock: Path, file: TextIO) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), lock.stat())
    except FileNotFoundError:
        return False
