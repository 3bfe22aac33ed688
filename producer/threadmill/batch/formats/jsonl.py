"""Results as JSON lines: each document once, or of each some columns of the table."""

from typing import TextIO

from threadmill.batch.formats.table import Table, as_json
from threadmill.batch.outcomes import Outcomes


def write(outcomes: Outcomes, file: TextIO) -> None:
    for entry in outcomes:
        file.write(as_json(entry) + "\n")


def write_columns(table: Table, file: TextIO) -> None:
    for row in table.rows():
        file.write(as_json(dict(zip(table.columns, row, strict=True))) + "\n")
