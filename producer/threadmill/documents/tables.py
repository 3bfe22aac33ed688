"""Tables of any format, record by record: none is held in memory, however long the table is."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from threadmill.documents.encoding import open_text
from threadmill.documents.formats import broken, needs_extra
from threadmill.documents.lines import LINE_LIMIT, objects
from threadmill.documents.template import BadDocument
from threadmill.documents.workbooks import WORKBOOKS, sheets
from threadmill.errors import ThreadmillError
from threadmill.installation import install_command

#: Files with rows.
TABLES = (".csv", ".tsv", ".jsonl", ".parquet", *WORKBOOKS)

#: Between the columns of a .csv file: what spreadsheets of the world write.
_DELIMITERS = ",;\t|"

#: Rows of a Parquet file that are held at a time, and bytes of a column that are read at a time.
_PARQUET_ROWS, _PARQUET_BUFFER = 1_000, 1_000_000

csv.field_size_limit(LINE_LIMIT)


@dataclass(frozen=True)
class Record:
    number: int  #: of the line where it ends, or of the row; from 1
    fields: dict[str, Any]
    problem: str = ""  #: why it cannot be asked about


def records(path: Path, kind: str, encoding: str | None) -> Iterator[Record]:
    """Raises ThreadmillError for a file that is no table, which no row of it survives."""
    try:
        if kind in _PACKED:
            with path.open("rb") as packed:
                yield from _PACKED[kind](packed)
        else:
            with open_text(path, encoding) as file:
                yield from _lines(file) if kind == ".jsonl" else _table(file, "\t" if kind == ".tsv" else None)
    except BadDocument as error:
        raise ThreadmillError(str(error)) from None
    except UnicodeError as error:
        at = f" at byte {error.start:,} of what was read last" if isinstance(error, UnicodeDecodeError) else ""
        raise ThreadmillError(
            f"is not {encoding or 'UTF-8'} text{at} ({getattr(error, 'reason', error)}); "
            "name its encoding with --encoding NAME, or convert it: iconv -f ENCODING -t UTF-8"
        ) from None
    except OSError as error:
        raise ThreadmillError(f"cannot be read: {error.strerror or error}") from None


def _table(file: TextIO, delimiter: str | None) -> Iterator[Record]:
    first = file.readline(LINE_LIMIT)
    file.seek(0)
    reader = csv.reader(file, delimiter=delimiter or max(_DELIMITERS, key=first.count), strict=True)
    try:
        header = _header(next(reader, []))
        for values in reader:
            if values:
                yield _record(reader.line_num, header, values)
    except csv.Error as error:  # where the next row begins cannot be check_encoding
        yield Record(reader.line_num, {}, f"cannot be read as CSV ({error}), nor can what comes after it")


def _header(names: list[Any]) -> list[str]:
    header = [str(name) for name in names if name not in (None, "")]
    if not header or len(header) < len(names) or len(set(header)) < len(header):
        raise ThreadmillError("its first line must name each column, each once")
    return header


def _record(number: int, header: list[str], values: list[Any]) -> Record:
    count = f"has {len(values)} columns, the first line {len(header)}"
    return Record(number, dict(zip(header, values, strict=False)), count if len(values) != len(header) else "")


def _lines(file: TextIO) -> Iterator[Record]:
    for number, fields, problem in objects(file):
        yield Record(number, fields, problem)


def _parquet(file: BinaryIO) -> Iterator[Record]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError:
        raise ThreadmillError(
            f"is a Parquet file, and pyarrow is not installed: {install_command('parquet')}"
        ) from None
    try:
        number = 0
        table = ParquetFile(file, pre_buffer=False, buffer_size=_PARQUET_BUFFER)  # else it holds whole row groups
        for batch in table.iter_batches(_PARQUET_ROWS, use_threads=False):
            for fields in batch.to_pylist():
                number += 1
                yield Record(number, fields)
    except ArrowException as error:
        raise ThreadmillError(f"cannot be read as Parquet: {str(error).splitlines()[0]}") from None


def _first_sheet(file: BinaryIO, kind: str) -> Iterator[Record]:
    try:
        _, rows = next(sheets(file, kind))
        header = _header(_trimmed(next(rows, ())))
        for number, row in enumerate(rows, 2):
            values = _trimmed(row)
            if values:
                yield _record(number, header, values + [None] * (len(header) - len(values)))
    except ModuleNotFoundError as error:
        raise needs_extra(kind, error) from None
    except (BadDocument, ThreadmillError):
        raise
    except Exception as error:  # libraries raise anything
        raise broken(error) from None


_PACKED: dict[str, Callable[[BinaryIO], Iterator[Record]]] = {
    ".parquet": _parquet,
    **{kind: partial(_first_sheet, kind=kind) for kind in WORKBOOKS},
}


def _trimmed(row: tuple[Any, ...]) -> list[Any]:
    """Without the empty cells at its end."""
    values = list(row)
    while values and values[-1] is None:
        values.pop()
    return values
