"""Reads local files that jobs name, if the settings allow it."""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from threadmill.errors import InvalidJob
from threadmill.settings.local_files import locate
from threadmill.settings.settings import Settings


@contextmanager
def opened(path: str, settings: Settings) -> Iterator[BufferedReader]:
    """Opens the file. Raises InvalidJob if the settings do not allow it, or if it cannot be read."""
    found = locate(path, settings.file_roots)
    try:
        with os.fdopen(_open_as_it_stands(found), "rb") as file:
            yield file
    except OSError as error:
        reason = error.strerror or error
        raise InvalidJob(
            f"{path}: this worker cannot read it ({reason}); put it where every worker can read it"
        ) from None


def size_of(file: BufferedReader) -> int:
    """Returns the size in bytes."""
    return os.fstat(file.fileno()).st_size


def sha256_of(file: BufferedReader) -> str:
    """Returns the hash of the whole file, read in pieces."""
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


def read_again(path: str, settings: Settings, size: int, sha256: str) -> bytes:
    """Returns the content of a file. Raises InvalidJob unless it has this size and hash."""
    with opened(path, settings) as file:
        content = file.read(size + 1) if size_of(file) == size else b""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise InvalidJob(
            f"{path}: has changed since the job began; enqueue the job again, and do not change its files while it runs"
        )
    return content


def _open_as_it_stands(path: Path) -> int:
    """Opens a path without symlinks, one folder at a time, so that none can become a symlink after the check."""
    passing = getattr(os, "O_PATH", os.O_RDONLY)  # Linux: a folder need not be readable to be entered
    folder = os.open(path.anchor, passing | os.O_DIRECTORY)
    try:
        for part in path.parts[1:-1]:
            inner = os.open(part, passing | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        # O_NONBLOCK: opening a pipe would wait for its writer
        file = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(None, "it is not a regular file")
    return file
