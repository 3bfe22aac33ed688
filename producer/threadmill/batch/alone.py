"""One process at a time writes a results file."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from threadmill.errors import ThreadmillError

_LOOK_EVERY_S = 0.5


@contextmanager
def alone_with(path: Path, wait: Callable[[str], None]) -> Iterator[None]:
    """Waits until no other process works on the file; `wait` is called now and then with the other's process id.

    The lock is a file next to it, and goes with its holder, however that ends.
    """
    lock = lock_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _taken(lock, wait)
    except OSError as error:
        raise ThreadmillError(f"cannot write results to {path}: {error.strerror or error}") from None
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)  # before it is let go: who waits for it looks whether it is still the one
        file.close()


def lock_of(path: Path) -> Path:
    """The lock of a results file: holds the id of the process that works on it."""
    return path.with_name(path.name + ".lock")


def holder_of(path: Path) -> str | None:
    """The id of the process that works on the file; None if none does."""
    try:
        with lock_of(path).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().strip() or "?"
    except FileNotFoundError:
        pass
    return None


def _taken(lock: Path, wait: Callable[[str], None]) -> TextIO:
    while True:
        file = lock.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if lock.exists() and os.path.samestat(os.fstat(file.fileno()), lock.stat()):
                file.truncate(0)
                file.write(str(os.getpid()))
                file.flush()
                return file
        except BlockingIOError:
            file.seek(0)
            wait(file.read().strip() or "?")
            time.sleep(_LOOK_EVERY_S)
        except FileNotFoundError:
            pass  # removed in this moment by who held it
        file.close()
