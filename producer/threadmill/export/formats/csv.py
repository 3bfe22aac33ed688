"""Writes results as CSV or TSV (RFC 4180): a header, then a line per document."""

import csv
import re
from typing import Any, TextIO

from threadmill.export.formats.table import Table, as_json

#: First characters of a cell that a spreadsheet can run as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # the last four: Excel in East Asian locales

#: Numbers, which are safe although they can begin with such a character.
_NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]+)*([eE][+-]?[0-9]+)?%?")


def write(
    table: Table,
    file: TextIO,
    *,
    delimiter: str = ",",
    raw_cells: bool = False,
    bom: bool = False,
    has_header: bool = True,
) -> None:
    """Writes the table. Puts an apostrophe before texts that a spreadsheet would run as formulas, unless `raw_cells`.

    `bom`: begin with a byte order mark, so that Excel recognises UTF-8. `has_header`: False continues a table.
    """
    clean = str if raw_cells else _without_formula
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\r\n")
    if bom:
        file.write("\ufeff")
    if has_header:
        writer.writerow([clean(column) for column in table.columns])
    for row in table.rows():
        writer.writerow([clean(value) if isinstance(value, str) else _cell(value) for value in row])


def _cell(value: Any) -> str:
    return "" if value is None else as_json(value)


def _without_formula(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text
