"""Writes results as a Parquet file with typed columns. One row group is held in memory at a time."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, BinaryIO

import pyarrow
from pyarrow import parquet

from threadmill.export.formats.table import Table, as_json, moment
from threadmill.surrogates import replace_surrogates

#: The largest row group, in documents and in characters.
_GROUP_ROWS, _GROUP_CHARACTERS = 10_000, 8_000_000

#: The types of columns without values; other empty columns are text.
_EXPECTED: dict[str, type] = {
    "row": int,
    "failure.retryable": bool,
    "seconds": float,
    **dict.fromkeys(("runs", "attempts", "calls"), int),
    **dict.fromkeys((f"usage.{each}_tokens" for each in ("prompt", "completion", "total")), int),
    **dict.fromkeys((f"timings.{each}_at" for each in ("created", "started", "finished")), datetime),
}


def write(table: Table, file: BinaryIO) -> None:
    kinds: list[set[type]] = [set() for _ in table.columns]
    for row in table.rows():
        for kind, column, value in zip(kinds, table.columns, row, strict=True):
            if value is not None:
                kind.add(_kind(column, value))
    types = [_type(kind or {_EXPECTED.get(column, str)}) for kind, column in zip(kinds, table.columns, strict=True)]
    schema = pyarrow.schema(
        [(column, arrow) for column, (arrow, _) in zip(map(replace_surrogates, table.columns), types, strict=True)]
    )
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for group in _groups(table.rows()):
            columns = zip(*group, strict=True)
            writer.write_table(
                pyarrow.table(
                    [
                        pyarrow.array([None if value is None else convert(value) for value in values], arrow)
                        for values, (arrow, convert) in zip(columns, types, strict=True)
                    ],
                    schema=schema,
                ),
            )


def _kind(column: str, value: Any) -> type:
    if column.startswith("timings.") and moment(value):
        return datetime
    if type(value) is int and not -(2**63) <= value < 2**63:
        return object
    return type(value)


def _type(kinds: set[type]) -> tuple[Any, Callable[[Any], Any]]:
    """Returns the Arrow type for all values of a column, and a function that converts a value to it."""
    if kinds == {datetime}:
        return pyarrow.timestamp("us", "UTC"), moment
    if kinds == {bool}:
        return pyarrow.bool_(), bool
    if kinds == {int}:
        return pyarrow.int64(), int
    if kinds in ({float}, {int, float}):
        return pyarrow.float64(), float
    return pyarrow.string(), replace_surrogates if kinds == {str} else lambda value: replace_surrogates(as_json(value))


def _groups(rows: Iterable[list[Any]]) -> Iterable[Sequence[list[Any]]]:
    group: list[list[Any]] = []
    characters = 0
    for row in rows:
        group.append(row)
        characters += sum(len(value) for value in row if isinstance(value, str | list))
        if len(group) >= _GROUP_ROWS or characters >= _GROUP_CHARACTERS:
            yield group
            group, characters = [], 0
    if group:
        yield group
