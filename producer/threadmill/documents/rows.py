"""Tables as document sets: each row of a table and each line of a JSONL file is a document."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threadmill.documents.document import STDIN, DocumentsInFiles, NumberedDocument, UniqueIds, printable
from threadmill.documents.errors import BadDocument
from threadmill.documents.readers.tables import TABLE_SUFFIXES, TableRow, read_rows
from threadmill.documents.template import list_columns
from threadmill.errors import ThreadmillError


@dataclass(frozen=True)
class RowDocument(NumberedDocument):
    """A row of a table. `id` identifies it in later invocations, also if it has moved in the file."""

    id: str
    fields: Mapping[str, Any]
    problem: str = ""  #: why it cannot be used

    @property
    def identity(self) -> str:
        return f"{super().identity}#{self.id}"

    @property
    def location(self) -> dict[str, Any]:
        return {**super().location, "row": self.number, "id": self.id}

    def variables(self) -> dict[str, Any]:
        """Returns the columns as variables, all of them as `row`, and as lines of `text`.

        A template can use columns whose names are not identifiers through `row`.
        """
        if self.problem:
            raise BadDocument(self.problem)
        text = "\n".join(f"{column}: {_as_text(value)}" for column, value in self.fields.items())
        return {"text": text, **self.common_variables, "row": dict(self.fields), **self.fields}

    @property
    def document_variables(self) -> tuple[str, ...]:
        if self.problem:
            return ()
        return ("text", *(name for name in self.fields if name.isidentifier()), "row", "name", "path")


class RowDocuments(DocumentsInFiles):
    """The rows of files; stdin is read as JSONL. Raises ThreadmillError for a file that is not a table.

    `id_column` identifies a row; by default its content does, so that a changed row is a new one.
    """

    def __init__(
        self,
        paths: Iterable[Path],
        id_column: str | None = None,
        *,
        encoding: str | None = None,
        stdin: Path | None = None,
    ) -> None:
        super().__init__(paths, encoding=encoding, stdin=stdin)
        self._id_column = id_column
        for path in self._paths:
            if path != STDIN and path.suffix.lower() not in TABLE_SUFFIXES:
                raise ThreadmillError(
                    f"{path}: not a table; --rows takes {' '.join(TABLE_SUFFIXES)} files, and - as JSONL"
                )

    def __iter__(self) -> Iterator[RowDocument]:
        for path in self._paths:
            ids, columns = UniqueIds(), dict[str, None]()
            source, kind = (self._stdin, ".jsonl") if path == STDIN and self._stdin else (path, path.suffix.lower())
            try:
                for row in read_rows(source, kind, self._encoding):
                    if self._id_column is not None and self._id_column not in columns and not row.problem:
                        columns |= dict.fromkeys(row.fields)
                    yield self._document(path, row, ids)
                if columns and self._id_column not in columns:
                    raise ThreadmillError(f"there is no column {self._id_column}; there are {list_columns(columns)}")
            except ThreadmillError as error:
                raise ThreadmillError(f"{path}: {error}") from None

    def _document(self, path: Path, row: TableRow, ids: UniqueIds) -> RowDocument:
        column, fields, problem = self._id_column, row.fields, row.problem
        if column is not None and not problem and fields.get(column) in (None, ""):
            problem = f"has no {column!r}, which identifies the row (--id-column)"
        if column is None or problem:
            content = json.dumps([fields, problem], sort_keys=True, default=str)
            row_id = hashlib.sha256(content.encode()).hexdigest()[:16]
        else:
            row_id = printable(_as_text(fields[column]))
        row_id, is_repeated = ids.take(row_id)
        if is_repeated and column is not None and not problem:
            problem = f"has the {column!r} of an earlier row"
        return RowDocument(path, row.number, row_id, fields, problem)


def _as_text(value: Any) -> str:
    """Returns a value as text: JSON types as JSON, times and decimals of Parquet and Excel by `str`."""
    if value is None or isinstance(value, (bool, int, float, list, dict)):
        return json.dumps(value, ensure_ascii=False, default=_plain)
    return _plain(value)


def _plain(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
