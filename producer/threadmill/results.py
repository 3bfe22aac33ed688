"""A batch's results file: one JSON line per document, written as it ends, readable after any interruption."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from threadmill.errors import ThreadmillError
from threadmill.result import JobState

#: How each of our lines starts.
_START = '{"path": '


class ResultsFile:
    """Opens `path` for the batch `name`: keeps the documents that succeeded, makes room for the others.

    Raises ThreadmillError if the file holds something else, unless `force` says to start over.
    """

    def __init__(self, path: Path, name: str, *, force: bool = False) -> None:
        self.path = path
        self.done: dict[str, dict[str, Any]] = {}  #: succeeded earlier, by document key
        try:
            for number, line in enumerate([] if force else _lines(path), 1):
                self._take_in(number, line, name)
            self._start()
        except OSError as error:
            raise ThreadmillError(f"cannot write results to {path}: {error.strerror or error}") from None

    def _take_in(self, number: int, line: str, name: str) -> None:
        entry = _parse(line)
        if entry is None or entry.get("batch") != name:
            raise ThreadmillError(
                f"{self.path} holds results of something else (line {number}). "
                "Choose another --out, or --force to overwrite it"
            )
        if entry["state"] == JobState.SUCCEEDED:
            self.done[entry["key"]] = entry

    def _start(self) -> None:
        """Replaces the file in one step by what is kept, and goes on at its end."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(self.path.name + ".new")
        with fresh.open("w", encoding="utf-8") as file:
            file.writelines(_line(entry) for entry in self.done.values())
        os.replace(fresh, self.path)
        self._file: TextIO = self.path.open("a", encoding="utf-8")

    def write(self, entry: Mapping[str, Any]) -> None:
        self._file.write(_line(entry))
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _lines(path: Path) -> list[str]:
    """The file's lines, without the one that was being written when an earlier run was killed."""
    if not path.exists():
        return []
    *lines, last = path.read_text("utf-8", errors="replace").split("\n")
    torn = last.startswith(_START) or _START.startswith(last)
    return lines if torn else [*lines, last]


def _line(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False) + "\n"


def _parse(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and {"key", "state"} <= entry.keys() else None
