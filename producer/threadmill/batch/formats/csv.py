"""Results as CSV or TSV (RFC 4180): a line per document, a header first."""

import csv
import re
from typing import Any, TextIO

from threadmill.batch.formats.table import Table, as_json

#: What a spreadsheet may take for a formula when a cell begins with it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # the last four: Excel in East Asian locales

#: What it takes for a number all the same.
_NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]+)*([eE][+-]?[0-9]+)?%?")


def write(table: Table, file: TextIO, *, delimiter: str = ",", raw_cells: bool = False, bom: bool = False) -> None:
    """Texts that a spreadsheet would run as formulas begin with an apostrophe, unless `raw_cells`.

    `bom`: begin with a byte order mark, by which Excel recognises UTF-8.
    """
    clean = str if raw_cells else _harmless
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\r\n")
    if bom:
        file.write("\ufeff")
    writer.writerow([clean(column) for column in table.columns])
    for row in table.rows():
        writer.writerow([clean(value) if isinstance(value, str) else _cell(value) for value in row])


def _cell(value: Any) -> str:
    return "" if value is None else as_json(value)


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text
