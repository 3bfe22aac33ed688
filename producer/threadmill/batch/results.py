"""A batch's results file: one JSON line per document, written as it ends, readable after any interruption."""

import json
import os
from collections.abc import Iterator, Mapping
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
        self._name = name
        self.done: set[str] = set()  #: keys of the documents that succeeded earlier
        fresh = path.with_name(path.name + ".new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with fresh.open("w", encoding="utf-8") as file:
                file.writelines(() if force else self._kept(path))
            os.replace(fresh, path)  # in one step
            self._file: TextIO = path.open("a", encoding="utf-8")
        except OSError as error:
            raise ThreadmillError(f"cannot write results to {path}: {error.strerror or error}") from None
        except ThreadmillError:
            fresh.unlink()
            raise

    def _kept(self, path: Path) -> Iterator[str]:
        """The lines of the documents that succeeded."""
        for number, line in enumerate(_lines(path), 1):
            entry = _parse(line)
            if entry is None or entry.get("batch") != self._name:
                raise ThreadmillError(
                    f"{path} holds results of something else (line {number}). "
                    "Choose another --out, or --force to overwrite it"
                )
            if entry["state"] == JobState.SUCCEEDED and entry["key"] not in self.done:
                self.done.add(entry["key"])
                yield line.rstrip("\n") + "\n"

    def write(self, entry: Mapping[str, Any]) -> None:
        self._file.write(_line(entry))
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _lines(path: Path) -> Iterator[str]:
    """The file's lines, without the one that was being written when an earlier run was killed."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for line in file:
            torn = not line.endswith("\n") and (line.startswith(_START) or _START.startswith(line))
            if not torn:
                yield line


def _line(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False) + "\n"


def _parse(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and {"key", "state"} <= entry.keys() else None
