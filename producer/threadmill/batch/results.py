"""A batch's results file: one JSON line per document, written as it ends, readable after any interruption.

A document that is asked about again has two lines for a while, of which the later counts: no answer is dropped
before there is another. Opening and closing the file leaves the later one alone.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from threadmill.errors import ThreadmillError
from threadmill.redaction import redact_all
from threadmill.result import ModelUsage, add_up

#: How each of our lines starts.
_START = b'{"path": '


@dataclass(frozen=True, slots=True)
class Earlier:
    """How an earlier run of the batch left a document."""

    state: str  #: a JobState, or one of a newer version
    job_id: str
    failure: str | None = None  #: its kind
    retryable: bool = False  #: whether that failure may pass when the job is sent again


class ResultsFile:
    """Opens `path` for the batch `name`, to go on with it; `ordered`: in the end its lines are in the documents' order.

    Raises ThreadmillError if the file holds something else, unless `force` says to start over.
    """

    def __init__(self, path: Path, name: str, *, force: bool = False, ordered: bool = False) -> None:
        self.path = path
        self.earlier: dict[str, Earlier] = {}  #: by the document's key
        self._name = name
        self._ordered = ordered
        self._numbers: dict[bytes, int] = {}
        self._known: set[bytes] = set()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if force:
                path.write_bytes(b"")
            self.spent = add_up(self._look_back())  #: by earlier runs, as far as the lines tell
            self._file: BinaryIO = path.open("ab")
        except OSError as error:
            raise ThreadmillError(f"cannot write results to {path}: {error.strerror or error}") from None

    def _look_back(self) -> Iterator[ModelUsage]:
        """Notes how earlier runs left each document, and gives what that took."""
        for line in self._tidy():
            self._known.add(document_of(line))
            if line["key"] is not None and line.get("job_id"):
                failure = line.get("failure") or {}
                self.earlier[line["key"]] = Earlier(
                    line["state"], line["job_id"], failure.get("kind"), failure.get("retryable", False)
                )
                yield ModelUsage.model_validate({name: line[name] for name in ModelUsage.model_fields if name in line})

    def see(self, place: Mapping[str, Any], number: int) -> None:
        """Notes where in the order of the documents one stands."""
        if self._ordered:
            self._numbers[document_of(place)] = number

    def knows(self, place: Mapping[str, Any]) -> bool:
        """Whether an earlier run left a line of this document, whatever was asked about it."""
        return document_of(place) in self._known

    def write(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(redact_all(line), ensure_ascii=False).encode() + b"\n")
        self._file.flush()

    def _tidy(self) -> Iterator[dict[str, Any]]:
        """Leaves of each document the last line, in one step; gives these lines."""
        last: dict[bytes, int] = {}
        for number, (offset, text) in enumerate(_lines(self.path), 1):
            last[document_of(self._parse(text, number))] = offset
        in_order = sorted((self._numbers.get(document, -1), offset) for document, offset in last.items())
        fresh = self.path.with_name(self.path.name + ".new")
        try:
            with fresh.open("wb") as new, (self.path if last else fresh).open("rb") as old:
                for _, offset in in_order:
                    old.seek(offset)
                    text = old.readline()
                    new.write(text.rstrip(b"\n") + b"\n")
                    yield json.loads(text)
                new.flush()
                os.fsync(new.fileno())
            os.replace(fresh, self.path)
        finally:
            fresh.unlink(missing_ok=True)

    def _parse(self, text: bytes, number: int) -> dict[str, Any]:
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        if not isinstance(line, dict) or not {"path", "key", "state"} <= line.keys() or line.get("batch") != self._name:
            raise ThreadmillError(
                f"{self.path} holds results of something else (line {number}). "
                "Choose another --out, or --force to overwrite it"
            )
        return line

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._ordered or self._known:
            for _ in self._tidy():
                pass


def document_of(place: Mapping[str, Any]) -> bytes:
    """What tells the documents of result lines apart, whatever was asked about them."""
    known_by = [place["path"], place.get("id"), place.get("custom_id")]
    return hashlib.blake2b(json.dumps(known_by).encode(), digest_size=16).digest()


def lines_in(path: Path) -> Iterator[dict[str, Any]]:
    """What a results file holds, in the order it was written: of each document the last line counts."""
    return (json.loads(text) for _, text in _lines(path))


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The file's lines and where they begin, without the one that was being written when an earlier run was killed."""
    if not path.exists():
        return
    offset = 0
    with path.open("rb") as file:
        for text in file:
            torn = not text.endswith(b"\n") and (text.startswith(_START) or _START.startswith(text))
            if not torn:
                yield offset, text
            offset += len(text)
