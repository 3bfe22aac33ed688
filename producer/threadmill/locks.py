"""Locks a file for one process at a time, and finds the process that holds the lock."""

import fcntl
import os
from typing import TextIO


def lock_file(file: TextIO) -> str | None:
    """Locks an open file until it is closed. Returns None, or the id of the process that already holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        return file.read().strip() or "?"
    return None


def claim_file(file: TextIO) -> str | None:
    """Locks an open file as `lock_file` does, and writes the id of this process into it."""
    holder = lock_file(file)
    if holder is None:
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
    return holder
