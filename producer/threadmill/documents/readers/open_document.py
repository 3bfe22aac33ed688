"""Converts OpenDocument files (LibreOffice) to Markdown. Needs the extra `documents`."""

from collections.abc import Callable, Iterator
from itertools import chain, islice, repeat
from typing import Any, BinaryIO
from zipfile import ZipFile

from lxml import etree

from threadmill.documents.errors import BadDocument
from threadmill.documents.readers import archive
from threadmill.documents.readers.markdown import table

_NAMESPACES = {
    name: f"urn:oasis:names:tc:opendocument:xmlns:{path}:1.0"
    for name, path in {
        "office": "office",
        "text": "text",
        "table": "table",
        "draw": "drawing",
        "presentation": "presentation",
    }.items()
}

#: The largest sheet of a spreadsheet program; a malicious file can repeat cells beyond it.
_MAX_ROWS, _MAX_COLUMNS = 1_048_576, 16_384


def _tag(name: str) -> str:
    prefix, _, local = name.partition(":")
    return f"{{{_NAMESPACES[prefix]}}}{local}"


#: Deleted text, notes and comments.
_SKIPPED = {_tag(name) for name in ("text:tracked-changes", "text:note", "office:annotation", "office:forms")}
_BREAKS = {_tag("text:tab"): "\t", _tag("text:line-break"): "\n", _tag("text:p"): "\n"}
_PARAGRAPH, _HEADING, _TABLE, _NOTES = map(_tag, ("text:p", "text:h", "table:table", "presentation:notes"))
_ROW, _CELL, _COVERED = map(_tag, ("table:table-row", "table:table-cell", "table:covered-table-cell"))


def read_odt(file: BinaryIO) -> Iterator[str]:
    """Yields headings, paragraphs and tables in their order. Raises BadDocument."""
    return _blocks(_body(file, "office:text"))


def read_odp(file: BinaryIO) -> Iterator[str]:
    """Yields each slide: its texts and tables, then its notes. Raises BadDocument."""
    for number, page in enumerate(_body(file, "office:presentation").iterfind(_tag("draw:page")), 1):
        yield f"## Slide {number}\n"
        notes = page.find(_NOTES)
        if notes is not None:
            page.remove(notes)
        yield from _blocks(page)
        spoken = "\n".join(_blocks(notes)).strip() if notes is not None else ""
        if spoken:
            yield f"Notes: {spoken}\n"


def read_ods(file: BinaryIO) -> Iterator[tuple[str, Iterator[tuple[Any, ...]]]]:
    """Yields the name and the rows of each sheet; an empty cell is None. Raises BadDocument."""
    for sheet in _body(file, "office:spreadsheet").iterfind(_TABLE):
        yield sheet.get(_tag("table:name"), ""), islice(_rows(sheet), _MAX_ROWS)


def _body(file: BinaryIO, kind: str) -> Any:
    archive.check(file)
    with ZipFile(file) as package:
        names = package.namelist()
        manifest = package.read("META-INF/manifest.xml") if "META-INF/manifest.xml" in names else b""
        if b"encryption-data" in manifest:
            raise BadDocument("is encrypted; save it without its password")
        if "content.xml" not in names:
            raise BadDocument("is broken, or not an OpenDocument file; open and save it again")
        content = package.read("content.xml")
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    body = etree.fromstring(content, parser).find(f"{_tag('office:body')}/{_tag(kind)}")
    if body is None:
        raise BadDocument(f"is broken, or not what its name says: it has no {kind}; open and save it again")
    return body


def _blocks(parent: Any) -> Iterator[str]:
    for child in parent:
        if child.tag in (_PARAGRAPH, _HEADING):
            text = _text(child).strip()
            level = int(child.get(_tag("text:outline-level"), 1)) if child.tag == _HEADING else 0
            if text:
                yield f"{'#' * level} {text}\n" if level else f"{text}\n"
        elif child.tag == _TABLE:
            yield f"{table([[_text(cell) for cell in _cells(row)] for row in child.iter(_ROW)])}\n"
        elif child.tag not in _SKIPPED:  # sections, lists, frames
            yield from _blocks(child)


def _text(element: Any) -> str:
    """Returns the text of an element and its children, without the text that follows it."""
    if element.tag == _tag("text:s"):
        return " " * min(int(element.get(_tag("text:c"), 1)), 1000)
    pieces = [element.text or ""]
    for child in element:
        if isinstance(child.tag, str) and child.tag not in _SKIPPED:
            pieces += _BREAKS.get(child.tag, ""), _text(child)
        pieces.append(child.tail or "")
    return "".join(pieces)


def _cells(row: Any) -> Iterator[Any]:
    return (cell for cell in row if cell.tag in (_CELL, _COVERED))


def _rows(sheet: Any) -> Iterator[tuple[Any, ...]]:
    """Yields the rows without the empty ones at the end of the sheet."""
    empty = 0
    for row in sheet.iter(_ROW):
        values, count = _values(row), int(row.get(_tag("table:number-rows-repeated"), 1))
        if values:
            yield from repeat((), empty)
            yield from repeat(values, count)
        empty = 0 if values else empty + count


def _values(row: Any) -> tuple[Any, ...]:
    cells = (repeat(_value(cell), int(cell.get(_tag("table:number-columns-repeated"), 1))) for cell in _cells(row))
    values = list(islice(chain.from_iterable(cells), _MAX_COLUMNS))
    while values and values[-1] is None:
        values.pop()
    return tuple(values)


def _value(cell: Any) -> Any:
    read = _VALUES.get(cell.get(_tag("office:value-type"), ""))
    if read is not None:
        attribute, convert = read
        return convert(cell.get(_tag(attribute), ""))
    return "\n".join(_text(paragraph) for paragraph in cell.iterfind(_PARAGRAPH)) or None


def _number(value: str) -> int | float:
    number = float(value)
    return int(number) if number.is_integer() else number


#: The attribute with the value of a cell, by type. The value of a text cell is its paragraphs.
_VALUES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "float": ("office:value", _number),
    "percentage": ("office:value", _number),
    "currency": ("office:value", _number),
    "date": ("office:date-value", str),
    "boolean": ("office:boolean-value", "true".__eq__),
}
