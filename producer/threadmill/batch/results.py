"""The results file of a batch: one JSON line per document, written when it finishes.

The file is readable after any interruption. A document that is asked about again has two lines until the file is
opened or closed; the later one counts. So the old answer is kept until the new one is written.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from threadmill.batch.replacing import replacing
from threadmill.errors import ThreadmillError
from threadmill.job.result import ModelUsage, add_up
from threadmill.secrets.redaction import redact_all

#: The start of each line.
_LINE_START = b'{"path": '


@dataclass(frozen=True, slots=True)
class PreviousResult:
    """The result of an earlier invocation for a document and the same prompt."""

    state: str  #: a JobState, or one of a newer version
    job_id: str
    failure: str | None = None  #: its FailureKind
    retryable: bool = False  #: whether the job can succeed if it is sent again


class ResultsFile:
    """Opens `path` to continue the batch `name`. If `ordered`, closing it sorts the lines like the documents.

    Raises ThreadmillError if the file has other content; `force` empties the file.
    """

    def __init__(self, path: Path, name: str, *, force: bool = False, ordered: bool = False) -> None:
        self.path = path
        self.previous: dict[str, PreviousResult] = {}  #: by PendingDocument.key
        self._name = name
        self._ordered = ordered
        self._numbers: dict[bytes, int] = {}
        self._known: set[bytes] = set()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if force:
                path.write_bytes(b"")
            self.previous_usage = add_up(self._read_previous())  #: of earlier invocations
            self._file: BinaryIO = path.open("ab")
        except OSError as error:
            raise ThreadmillError(f"cannot write results to {path}: {error.strerror or error}") from None

    def _read_previous(self) -> Iterator[ModelUsage]:
        """Collects the previous results, and yields their usage."""
        for line in self._compact():
            self._known.add(document_id(line))
            if line["key"] is not None and line.get("job_id"):
                failure = line.get("failure") or {}
                self.previous[line["key"]] = PreviousResult(
                    line["state"], line["job_id"], failure.get("kind"), failure.get("retryable", False)
                )
                yield ModelUsage.model_validate({name: line[name] for name in ModelUsage.model_fields if name in line})

    def set_position(self, location: Mapping[str, Any], number: int) -> None:
        """Sets the position of a document for the order of the lines."""
        if self._ordered:
            self._numbers[document_id(location)] = number

    def has_line(self, location: Mapping[str, Any]) -> bool:
        """Whether there is a line for this document, from any prompt."""
        return document_id(location) in self._known

    def write(self, line: Mapping[str, Any]) -> None:
        """Appends a line, without secrets."""
        self._file.write(json.dumps(redact_all(line), ensure_ascii=False).encode() + b"\n")
        self._file.flush()

    def _compact(self) -> Iterator[dict[str, Any]]:
        """Atomically drops all but the last line of each document; yields the lines that remain."""
        last: dict[bytes, int] = {}
        for number, (offset, text) in enumerate(_lines(self.path), 1):
            last[document_id(self._parse(text, number))] = offset
        in_order = sorted((self._numbers.get(document, -1), offset) for document, offset in last.items())
        self.path.touch()
        with self.path.open("rb") as old, replacing(self.path) as new:
            for _, offset in in_order:
                old.seek(offset)
                text = old.readline()
                new.write(text.rstrip(b"\n") + b"\n")
                yield json.loads(text)
            new.flush()
            os.fsync(new.fileno())

    def _parse(self, text: bytes, number: int) -> dict[str, Any]:
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        if not isinstance(line, dict) or not {"path", "key", "state"} <= line.keys() or line.get("batch") != self._name:
            raise ThreadmillError(
                f"{self.path} has other content (line {number}). Choose another --out, or use --again to overwrite it"
            )
        return line

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._ordered or self._known:
            for _ in self._compact():
                pass


def document_id(location: Mapping[str, Any]) -> bytes:
    """Returns a digest that identifies the document of a result line, for any prompt."""
    identity = [location["path"], location.get("id"), location.get("custom_id")]
    return hashlib.blake2b(json.dumps(identity).encode(), digest_size=16).digest()


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yields the lines of a results file as written. If a document has two lines, the later one counts."""
    return (json.loads(text) for _, text in _lines(path))


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yields the offset and the text of each line, without an incomplete last one."""
    if not path.exists():
        return
    offset = 0
    with path.open("rb") as file:
        for text in file:
            is_incomplete = not text.endswith(b"\n") and (text.startswith(_LINE_START) or _LINE_START.startswith(text))
            if not is_incomplete:
                yield offset, text
            offset += len(text)
