"""Writes results as JSON lines: one per document, complete or with chosen columns."""

from typing import TextIO

from threadmill.export.formats.table import Table, as_json
from threadmill.export.results_reader import ResultsReader


def write(reader: ResultsReader, file: TextIO) -> None:
    for entry in reader:
        file.write(as_json(entry) + "\n")


def write_columns(table: Table, file: TextIO) -> None:
    for row in table.rows():
        file.write(as_json(dict(zip(table.columns, row, strict=True))) + "\n")
