"""Tables as document sets: each row of a table, each line of a JSONL file, is a document."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threadmill.documents.document import STDIN, Numbered, UniqueIds, shown
from threadmill.documents.tables import TABLES, Record, records
from threadmill.documents.template import BadDocument, listed
from threadmill.errors import ThreadmillError


@dataclass(frozen=True)
class Row(Numbered):
    """`id`: by which a later run knows the row again, wherever in the file it stands then."""

    id: str
    fields: Mapping[str, Any]
    problem: str = ""  #: why it cannot be asked about

    @property
    def identity(self) -> str:
        return f"{super().identity}#{self.id}"

    @property
    def place(self) -> dict[str, Any]:
        return {**super().place, "row": self.number, "id": self.id}

    def variables(self) -> dict[str, Any]:
        """Its columns; `row` has them all, also those whose names no template could write; `text` is all as lines."""
        if self.problem:
            raise BadDocument(self.problem)
        text = "\n".join(f"{column}: {_as_text(value)}" for column, value in self.fields.items())
        own = {"text": text, "name": self.name, "path": shown(self.path), "part": 1, "parts": 1}
        return {**own, "row": dict(self.fields), **self.fields}

    @property
    def carriers(self) -> tuple[str, ...]:
        if self.problem:
            return ()
        return ("text", *(name for name in self.fields if name.isidentifier()), "row", "name", "path")


class Rows:
    """The rows of files, read anew each time they are gone through, so that none is held in memory.

    `id_column`: what names a row; default: its content, so that a changed row is a new one. `stdin`: the file that
    holds what came there, as JSONL. Raises ThreadmillError for a file that is no table, which no row of it survives.
    """

    def __init__(
        self,
        paths: Iterable[Path],
        id_column: str | None = None,
        *,
        encoding: str | None = None,
        stdin: Path | None = None,
    ) -> None:
        self._paths = list(paths)
        self._id_column = id_column
        self._encoding = encoding
        self._stdin = stdin
        for path in self._paths:
            if path != STDIN and path.suffix.lower() not in TABLES:
                raise ThreadmillError(f"{path}: not a table: --rows takes {' '.join(TABLES)} files, and - as JSONL")

    def __iter__(self) -> Iterator[Row]:
        for path in self._paths:
            ids, columns = UniqueIds(), dict[str, None]()
            where, kind = (self._stdin, ".jsonl") if path == STDIN and self._stdin else (path, path.suffix.lower())
            try:
                for record in records(where, kind, self._encoding):
                    if self._id_column is not None and self._id_column not in columns and not record.problem:
                        columns |= dict.fromkeys(record.fields)
                    yield self._row(path, record, ids)
                if columns and self._id_column not in columns:
                    raise ThreadmillError(f"there is no column {self._id_column}; there are {listed(columns)}")
            except ThreadmillError as error:
                raise ThreadmillError(f"{path}: {error}") from None

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _row(self, path: Path, record: Record, ids: UniqueIds) -> Row:
        column, fields, problem = self._id_column, record.fields, record.problem
        if column is not None and not problem and fields.get(column) in (None, ""):
            problem = f"has no {column!r}, by which rows are known (--id-column)"
        if column is None or problem:
            content = json.dumps([fields, problem], sort_keys=True, default=str)
            row_id = hashlib.sha256(content.encode()).hexdigest()[:16]
        else:
            row_id = shown(_as_text(fields[column]))
        row_id, is_repeated = ids.take(row_id)
        if is_repeated and column is not None and not problem:
            problem = f"has the {column!r} of an earlier row"
        return Row(path, record.number, row_id, fields, problem)


def _as_text(value: Any) -> str:
    """Times, decimals and the like, which Parquet and Excel have, as they are usually written."""
    if value is None or isinstance(value, (bool, int, float, list, dict)):
        return json.dumps(value, ensure_ascii=False, default=_plain)
    return _plain(value)


def _plain(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
