"""Reads workbooks as text and as rows. Needs the extra `documents`."""

import warnings
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from io import StringIO
from typing import Any, BinaryIO

from threadmill.documents.errors import BadDocument
from threadmill.documents.readers import archive
from threadmill.documents.readers.markdown import one_line

#: The largest unpacked XML of a workbook in bytes; it is parsed row by row.
_XML_LIMIT = 100_000_000

#: The name of a sheet, and its rows.
Sheet = tuple[str, Iterator[tuple[Any, ...]]]


def read_workbook(file: BinaryIO, kind: str) -> Iterator[str]:
    """Yields the sheets with a line per row and tabs between values. Formulas have their saved values."""
    between = ""
    for name, rows in read_sheets(file, kind):
        lines = ("\t".join("" if value is None else one_line(str(value)) for value in row) for row in rows)
        for index, line in enumerate(filter(str.strip, lines)):
            yield line.rstrip() if index else f"{between}## {name}\n\n{line.rstrip()}"
            between = "\n"


def read_sheets(file: BinaryIO, kind: str) -> Iterator[Sheet]:
    """Yields the name and the rows of each sheet; an empty cell is None. Raises BadDocument."""
    return _READERS[kind](file)


def _xlsx(file: BinaryIO) -> Iterator[Sheet]:
    from openpyxl import load_workbook

    archive.check(file, _XML_LIMIT)
    with warnings.catch_warnings():  # about what would be lost if the file were saved
        warnings.simplefilter("ignore")
        book = load_workbook(file, read_only=True, data_only=True)
    for sheet in book.worksheets:
        sheet.reset_dimensions()  # those in the file can be wrong
        yield sheet.title, sheet.iter_rows(values_only=True)


def _xls(file: BinaryIO) -> Iterator[Sheet]:
    import xlrd

    try:
        # `logfile`: it prints warnings. `ragged_rows`: empty cells take memory.
        book = xlrd.open_workbook(file_contents=file.read(), on_demand=True, ragged_rows=True, logfile=StringIO())
    except xlrd.XLRDError as error:
        if "encrypted" in str(error):
            raise BadDocument("is encrypted; save it without its password") from None
        raise
    for index in range(book.nsheets):
        sheet = book.sheet_by_index(index)
        yield sheet.name, (tuple(_value(cell, book.datemode) for cell in row) for row in sheet.get_rows())
        book.unload_sheet(index)


def _value(cell: Any, datemode: int) -> str | int | float | bool | date | time | None:
    """Returns the value of an .xls cell. The format has no types for integers and for times without a date."""
    import xlrd

    match cell.ctype:
        case xlrd.XL_CELL_EMPTY | xlrd.XL_CELL_BLANK:
            return None
        case xlrd.XL_CELL_DATE:
            moment: datetime = xlrd.xldate.xldate_as_datetime(cell.value, datemode)
            return moment.time() if cell.value < 1 else moment
        case xlrd.XL_CELL_NUMBER:
            return int(cell.value) if cell.value.is_integer() else float(cell.value)
        case xlrd.XL_CELL_BOOLEAN:
            return bool(cell.value)
        case xlrd.XL_CELL_ERROR:
            return str(xlrd.error_text_from_code.get(cell.value, "#ERROR"))
    return str(cell.value) or None


def _ods(file: BinaryIO) -> Iterator[Sheet]:
    from threadmill.documents.readers import open_document

    return open_document.read_ods(file)


_READERS: dict[str, Callable[[BinaryIO], Iterator[Sheet]]] = {
    ".xlsx": _xlsx,
    ".xlsm": _xlsx,
    ".xls": _xls,
    ".ods": _ods,
}

#: Suffixes of the workbooks that can be read.
WORKBOOK_SUFFIXES = tuple(_READERS)
