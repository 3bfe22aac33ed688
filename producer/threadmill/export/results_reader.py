"""Reads a results file: one line per document, also after an interrupted batch."""

import json
import os
import re
from array import array
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO

from threadmill.batch.results import document_id
from threadmill.errors import ThreadmillError
from threadmill.job.result import JobState

#: A line of the results file: the location of the document and its JobResult, as JSON.
ResultLine = Mapping[str, Any]


class StateFilter(StrEnum):
    """Which documents to read."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"  #: and cancelled ones


class ResultOrder(StrEnum):
    """The order in which documents are read."""

    WRITTEN = "written"  #: as in the results file
    PATH = "path"  #: by path, row and id; numbers in them compare as numbers


class ResultsReader:
    """The lines of a results file. Can be iterated more than once; only offsets are held in memory.

    If a document has two lines, the later one counts. An incomplete last line and lines that are appended later are
    left out. Raises ThreadmillError if the file cannot be read, or is not a results file.
    """

    def __init__(self, path: Path, only: StateFilter | None = None, order: ResultOrder = ResultOrder.WRITTEN) -> None:
        self.path = path
        starts: dict[bytes, int] = {}  # by document
        ranks: dict[int, str] = {}
        try:
            with path.open("rb") as file:
                self._inode = os.fstat(file.fileno()).st_ino
                for start, entry in _read(path, file):
                    document = document_id(entry)
                    ranks.pop(starts.pop(document, -1), None)
                    if only is None or succeeded(entry) is (only is StateFilter.SUCCEEDED):
                        starts[document] = start
                        if order is ResultOrder.PATH:
                            ranks[start] = _rank(entry)
        except OSError as error:
            raise ThreadmillError(f"{path}: cannot be read: {error.strerror or error}") from None
        self._starts = array("Q", sorted(starts.values(), key=ranks.__getitem__ if ranks else None))

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[ResultLine]:
        with self.path.open("rb") as file:
            if os.fstat(file.fileno()).st_ino != self._inode:
                raise ThreadmillError(f"{self.path} was replaced while it was read: run the command again")
            for start in self._starts:
                file.seek(start)
                yield json.loads(file.readline())


def succeeded(entry: ResultLine) -> bool:
    return bool(entry["state"] == JobState.SUCCEEDED)


def label(entry: ResultLine) -> str:
    """Returns the name of the document in messages."""
    path = str(entry.get("path", ""))
    if entry.get("row") is not None:
        return f"{path}:{entry['row']}"
    return str(entry["custom_id"]) if entry.get("custom_id") is not None else path


def _read(path: Path, file: BinaryIO) -> Iterator[tuple[int, ResultLine]]:
    """Yields each complete line with its offset."""
    start = 0
    for number, line in enumerate(file, 1):
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if isinstance(entry, dict) and "state" in entry:
            yield start, entry
        elif line.endswith(b"\n") and line.strip():
            raise ThreadmillError(f"{path}: line {number} is not a result. Give the --out of `threadmill batch`")
        start += len(line)


def _rank(entry: ResultLine) -> str:
    """A sort key in which numbers compare by size."""
    location = "\0".join(str(entry.get(name, "")) for name in ("path", "name", "id", "custom_id"))
    return re.sub("[0-9]+", lambda digits: f"{len(digits[0].lstrip('0')):05}{digits[0].lstrip('0')}", location)
