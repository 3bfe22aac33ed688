"""A results file read: what became of each document, once, in any order, whatever interrupted the batch."""

import json
import os
import re
from array import array
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO

from threadmill.batch.results import document_of
from threadmill.errors import ThreadmillError
from threadmill.result import JobState

#: A line of the results file: the document's place, and its JobResult as JSON.
Entry = Mapping[str, Any]


class Only(StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"  #: whatever did not succeed, cancelled ones too


class Order(StrEnum):
    WRITTEN = "written"  #: as in the results file
    PATH = "path"  #: by place, numbers in it as numbers


class Outcomes:
    """The lines of `path`, gone through as often as wanted; in memory is where each begins, not what it holds.

    Of a document with two lines the later one counts. A last line cut off by a kill, or still being written, is left
    out, and so are lines appended later. Raises ThreadmillError if the file cannot be read or holds something else.
    """

    def __init__(self, path: Path, only: Only | None = None, order: Order = Order.WRITTEN) -> None:
        self.path = path
        starts: dict[bytes, int] = {}  # by document
        ranks: dict[int, str] = {}
        try:
            with path.open("rb") as file:
                self._file_is = os.fstat(file.fileno()).st_ino
                for start, entry in _read(path, file):
                    document = document_of(entry)
                    ranks.pop(starts.pop(document, -1), None)
                    if only is None or succeeded(entry) is (only is Only.SUCCEEDED):
                        starts[document] = start
                        if order is Order.PATH:
                            ranks[start] = _rank(entry)
        except OSError as error:
            raise ThreadmillError(f"{path}: cannot be read: {error.strerror or error}") from None
        self._starts = array("Q", sorted(starts.values(), key=ranks.__getitem__ if ranks else None))

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[Entry]:
        with self.path.open("rb") as file:
            if os.fstat(file.fileno()).st_ino != self._file_is:
                raise ThreadmillError(f"{self.path} was written anew meanwhile: run the command again")
            for start in self._starts:
                file.seek(start)
                yield json.loads(file.readline())


def succeeded(entry: Entry) -> bool:
    return bool(entry["state"] == JobState.SUCCEEDED)


def label(entry: Entry) -> str:
    """What a person finds the document by."""
    path = str(entry.get("path", ""))
    if entry.get("row") is not None:
        return f"{path}:{entry['row']}"
    return str(entry["custom_id"]) if entry.get("custom_id") is not None else path


def _read(path: Path, file: BinaryIO) -> Iterator[tuple[int, Entry]]:
    """Each good line, with the byte where it begins."""
    start = 0
    for number, line in enumerate(file, 1):
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if isinstance(entry, dict) and "state" in entry:
            yield start, entry
        elif line.endswith(b"\n") and line.strip():
            raise ThreadmillError(f"{path}: line {number} is no result. Give the --out of `threadmill batch`")
        start += len(line)


def _rank(entry: Entry) -> str:
    """Sorts as people do: a number by its size, which is first of all how long it is."""
    place = "\0".join(str(entry.get(name, "")) for name in ("path", "name", "id", "custom_id"))
    return re.sub("[0-9]+", lambda digits: f"{len(digits[0].lstrip('0')):05}{digits[0].lstrip('0')}", place)
