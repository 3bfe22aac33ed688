"""Reads tables of any format row by row, so that long ones are not held in memory."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from threadmill.documents.errors import BadDocument
from threadmill.documents.readers.encoding import open_text
from threadmill.documents.readers.formats import broken_file, missing_extra
from threadmill.documents.readers.lines import LINE_LIMIT, read_objects
from threadmill.documents.readers.workbooks import WORKBOOK_SUFFIXES, read_sheets
from threadmill.errors import ThreadmillError
from threadmill.installation import install_command

#: Suffixes of the tables that can be read.
TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet", *WORKBOOK_SUFFIXES)

#: The delimiters that spreadsheet programs write into .csv files.
_DELIMITERS = ",;\t|"

#: Rows of a Parquet file to hold at a time, and bytes of a column to read at a time.
_PARQUET_ROWS, _PARQUET_BUFFER = 1_000, 1_000_000

csv.field_size_limit(LINE_LIMIT)


@dataclass(frozen=True)
class TableRow:
    """The values of a row by column."""

    number: int  #: the line where it ends, or the row; from 1
    fields: dict[str, Any]
    problem: str = ""  #: why it cannot be used


def read_rows(path: Path, kind: str, encoding: str | None) -> Iterator[TableRow]:
    """Yields the rows of a file of this kind (suffix). Raises ThreadmillError if it is not such a table."""
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
        at = f" at byte {error.start:,} of the last block" if isinstance(error, UnicodeDecodeError) else ""
        raise ThreadmillError(
            f"is not {encoding or 'UTF-8'} text{at} ({getattr(error, 'reason', error)}); "
            "set its encoding with --encoding NAME, or convert it: iconv -f ENCODING -t UTF-8"
        ) from None
    except OSError as error:
        raise ThreadmillError(f"cannot be read: {error.strerror or error}") from None


def _table(file: TextIO, delimiter: str | None) -> Iterator[TableRow]:
    first = file.readline(LINE_LIMIT)
    file.seek(0)
    reader = csv.reader(file, delimiter=delimiter or max(_DELIMITERS, key=first.count), strict=True)
    try:
        header = _header(next(reader, []))
        for values in reader:
            if values:
                yield _record(reader.line_num, header, values)
    except csv.Error as error:  # the start of the next row is not known
        yield TableRow(reader.line_num, {}, f"cannot be read as CSV ({error}), nor can the rows after it")


def _header(names: list[Any]) -> list[str]:
    header = [str(name) for name in names if name not in (None, "")]
    if not header or len(header) < len(names) or len(set(header)) < len(header):
        raise ThreadmillError("its first line must name each column once")
    return header


def _record(number: int, header: list[str], values: list[Any]) -> TableRow:
    count = f"has {len(values)} columns, the first line {len(header)}"
    return TableRow(number, dict(zip(header, values, strict=False)), count if len(values) != len(header) else "")


def _lines(file: TextIO) -> Iterator[TableRow]:
    for number, fields, problem in read_objects(file):
        yield TableRow(number, fields, problem)


def _parquet(file: BinaryIO) -> Iterator[TableRow]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError:
        raise ThreadmillError(
            f"is a Parquet file, and pyarrow is not installed: {install_command('parquet')}"
        ) from None
    try:
        number = 0
        table = ParquetFile(file, pre_buffer=False, buffer_size=_PARQUET_BUFFER)  # the default holds whole row groups
        for batch in table.iter_batches(_PARQUET_ROWS, use_threads=False):
            for fields in batch.to_pylist():
                number += 1
                yield TableRow(number, fields)
    except ArrowException as error:
        raise ThreadmillError(f"cannot be read as Parquet: {str(error).splitlines()[0]}") from None


def _first_sheet(file: BinaryIO, kind: str) -> Iterator[TableRow]:
    try:
        _, rows = next(read_sheets(file, kind))
        header = _header(_trimmed(next(rows, ())))
        for number, row in enumerate(rows, 2):
            values = _trimmed(row)
            if values:
                yield _record(number, header, values + [None] * (len(header) - len(values)))
    except ModuleNotFoundError as error:
        raise missing_extra(kind, error) from None
    except (BadDocument, ThreadmillError):
        raise
    except Exception as error:  # libraries raise anything
        raise broken_file(error) from None


_PACKED: dict[str, Callable[[BinaryIO], Iterator[TableRow]]] = {
    ".parquet": _parquet,
    **{kind: partial(_first_sheet, kind=kind) for kind in WORKBOOK_SUFFIXES},
}


def _trimmed(row: tuple[Any, ...]) -> list[Any]:
    """Returns the row without the empty cells at its end."""
    values = list(row)
    while values and values[-1] is None:
        values.pop()
    return values
