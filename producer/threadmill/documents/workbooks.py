"""The text and the rows of workbooks. The libraries are of the extra `documents`."""

import warnings
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from io import StringIO
from typing import Any, BinaryIO

from threadmill.documents import archive
from threadmill.documents.markdown import one_line
from threadmill.documents.template import BadDocument

#: Bytes of a workbook's XML, which is parsed row by row.
_XML_LIMIT = 100_000_000

#: The name of a sheet, and its rows.
Sheet = tuple[str, Iterator[tuple[Any, ...]]]


def text(file: BinaryIO, kind: str) -> Iterator[str]:
    """Sheet by sheet: a line per row, tabs between the values that its formulas had when it was saved."""
    between = ""
    for name, rows in sheets(file, kind):
        lines = ("\t".join("" if value is None else one_line(str(value)) for value in row) for row in rows)
        for index, line in enumerate(filter(str.strip, lines)):
            yield line.rstrip() if index else f"{between}## {name}\n\n{line.rstrip()}"
            between = "\n"


def sheets(file: BinaryIO, kind: str) -> Iterator[Sheet]:
    """The sheets with their rows; None is an empty cell. Raises BadDocument for a file that cannot be a workbook."""
    return _READERS[kind](file)


def _xlsx(file: BinaryIO) -> Iterator[Sheet]:
    from openpyxl import load_workbook

    archive.check(file, _XML_LIMIT)
    with warnings.catch_warnings():  # of what it does not keep, should one save the file
        warnings.simplefilter("ignore")
        book = load_workbook(file, read_only=True, data_only=True)
    for sheet in book.worksheets:
        sheet.reset_dimensions()  # what the file says of them may be wrong
        yield sheet.title, sheet.iter_rows(values_only=True)


def _xls(file: BinaryIO) -> Iterator[Sheet]:
    import xlrd

    try:
        # It prints what it finds odd, and would hold the empty cells too.
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
    """What a cell of an .xls file shows; it has no type for whole numbers, for dates or for times alone."""
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
    from threadmill.documents import open_document

    return open_document.sheets(file)


_READERS: dict[str, Callable[[BinaryIO], Iterator[Sheet]]] = {
    ".xlsx": _xlsx,
    ".xlsm": _xlsx,
    ".xls": _xls,
    ".ods": _ods,
}

#: Suffixes of the workbooks that can be read.
WORKBOOKS = tuple(_READERS)
