"""Tables as document sets: each row of a CSV or TSV file, each line of a JSONL file, is a document."""

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from threadmill.documents.document import Document
from threadmill.documents.template import BadDocument
from threadmill.errors import ThreadmillError
from threadmill.message import MESSAGE_LIMIT

#: Between the columns of a .csv file: what spreadsheets of the world write.
_DELIMITERS = ",;\t|"

csv.field_size_limit(4 * MESSAGE_LIMIT)


@dataclass(frozen=True)
class Row(Document):
    """`id`: by which a later run knows the row again, wherever in the file it stands then."""

    number: int  #: of the line where it ends, from 1
    id: str
    fields: Mapping[str, Any]
    problem: str = ""  #: why it cannot be asked about

    @property
    def name(self) -> str:
        return f"{self.path.name}:{self.number}"

    @property
    def label(self) -> str:
        return f"{self.path}:{self.number}"

    @property
    def identity(self) -> str:
        return f"{self.path}#{self.id}"

    @property
    def place(self) -> dict[str, Any]:
        return {**super().place, "row": self.number, "id": self.id}

    def variables(self) -> dict[str, Any]:
        """Its columns; `row` has them all, also those whose names no template could write; `text` is all as lines."""
        if self.problem:
            raise BadDocument(self.problem)
        text = "\n".join(f"{column}: {_as_text(value)}" for column, value in self.fields.items())
        given = {"text": text, "name": self.name, "path": str(self.path), "row": dict(self.fields)}
        return given | dict(self.fields)


class Rows:
    """The rows of files, read anew each time they are gone through, so that none is held in memory.

    `id_column`: what names a row; default: its content, so that a changed row is a new one. Raises ThreadmillError for
    a file that is no table, which no row of it survives.
    """

    def __init__(self, paths: Iterable[Path], id_column: str | None = None) -> None:
        self._paths = list(paths)
        self._id_column = id_column
        for path in self._paths:
            if path.suffix.lower() not in (".csv", ".tsv", ".jsonl"):
                raise ThreadmillError(f"{path}: not a table: --rows takes .csv, .tsv and .jsonl files")

    def __iter__(self) -> Iterator[Row]:
        for path in self._paths:
            seen: Counter[str] = Counter()
            try:
                with path.open(encoding="utf-8-sig", newline="") as file:
                    read = _objects if path.suffix.lower() == ".jsonl" else _table
                    for number, fields, problem in read(path, file):
                        yield self._row(path, number, fields, problem, seen)
            except UnicodeDecodeError as error:
                raise ThreadmillError(
                    f"{path}: is not UTF-8 text ({error.reason}); convert it: iconv -f ENCODING -t UTF-8"
                ) from None
            except OSError as error:
                raise ThreadmillError(f"{path}: cannot be read: {error.strerror or error}") from None

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _row(self, path: Path, number: int, fields: Mapping[str, Any], problem: str, seen: Counter[str]) -> Row:
        column = self._id_column
        if column is not None and not problem and fields.get(column) in (None, ""):
            problem = f"has no {column!r}, by which rows are known (--id-column)"
        if column is None or problem:
            content = json.dumps([fields, problem], sort_keys=True, default=str)
            row_id = hashlib.sha256(content.encode()).hexdigest()[:16]
        else:
            row_id = _as_text(fields[column])
        seen[row_id] += 1
        if seen[row_id] > 1:
            row_id = f"{row_id}/{seen[row_id]}"
            if column is not None and not problem:
                problem = f"has the {column!r} of an earlier row"
        return Row(path, number, row_id, fields, problem)


def _table(path: Path, file: TextIO) -> Iterator[tuple[int, dict[str, Any], str]]:
    """Rows as line number, fields, problem."""
    first = file.readline()
    file.seek(0)
    delimiter = "\t" if path.suffix.lower() == ".tsv" else max(_DELIMITERS, key=first.count)
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    header = next(reader, [])
    if not all(header) or len(set(header)) < len(header) or not header:
        raise ThreadmillError(f"{path}: its first line must name each column, each once")
    try:
        for values in reader:
            if values:
                count = f"has {len(values)} columns, the first line {len(header)}"
                problem = count if len(values) != len(header) else ""
                yield reader.line_num, dict(zip(header, values, strict=False)), problem
    except csv.Error as error:  # where the next row begins cannot be known
        yield reader.line_num, {}, f"cannot be read as CSV ({error}), nor can what comes after it"


def _objects(path: Path, file: TextIO) -> Iterator[tuple[int, dict[str, Any], str]]:
    for number, line in enumerate(file, 1):
        if line.strip():
            try:
                value = json.loads(line)
            except ValueError as error:
                yield number, {"line": line[:200]}, f"is not JSON: {error}"
                continue
            good = isinstance(value, dict) and bool(value)
            yield number, value if good else {"line": line[:200]}, "" if good else "is no JSON object with fields"


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
