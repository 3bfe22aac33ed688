"""The text of Office files, as Markdown. The libraries are of the extra `documents`."""

import warnings
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO
from zipfile import BadZipFile, ZipFile

from docx import Document as open_word
from docx.oxml.ns import qn
from openpyxl import load_workbook
from pptx import Presentation

from threadmill.documents.template import BadDocument

#: Bytes of such a file unpacked: of all in it, and of its XML, which takes ten times its size
#: once parsed; workbooks are parsed row by row.
_UNPACKED_LIMIT, _XML_LIMIT, _SHEETS_LIMIT = 300_000_000, 30_000_000, 100_000_000

#: Of files that are no ZIP: encrypted ones, and those from before 2007.
_OLE_HEAD = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

_BREAKS = {qn("w:tab"): "\t", qn("w:br"): "\n", qn("w:cr"): "\n", qn("w:noBreakHyphen"): "-", qn("w:p"): "\n"}

#: The same text again for old programs, and what was deleted or is no text of the document.
_TWICE = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_UNSEEN = (_TWICE, qn("w:del"), qn("w:pPr"), qn("w:rPr"), qn("w:instrText"))


def word(file: BinaryIO) -> Iterator[str]:
    """Paragraphs and tables in their order; headings are told by their styles."""
    _check(file)
    document = open_word(file)
    levels = {style.style_id: _level(style.name or "") for style in document.styles}
    yield from _blocks(document.element.body, levels)


def _blocks(parent: Any, levels: dict[str, int]) -> Iterator[str]:
    for child in parent:
        if child.tag == qn("w:p"):
            style = child.find(f"{qn('w:pPr')}/{qn('w:pStyle')}")
            level = levels.get(style.get(qn("w:val")), 0) if style is not None else 0
            text = _text(child).strip()
            if text:
                yield f"{'#' * level} {text}\n" if level else f"{text}\n"
        elif child.tag == qn("w:tbl"):
            rows = ([_text(cell) for cell in row.iter(qn("w:tc"))] for row in child.iter(qn("w:tr")))
            yield f"{_table(rows)}\n"
        elif child.tag not in _UNSEEN:  # content controls, insertions
            yield from _blocks(child, levels)


def _text(element: Any) -> str:
    if element.tag == qn("w:t"):
        return element.text or ""
    inner = "".join(_text(child) for child in element if child.tag not in _UNSEEN)
    return _BREAKS.get(element.tag, "") + inner


def _level(style: str) -> int:
    name = style.lower()
    if name == "title":
        return 1
    number = name.removeprefix("heading ")
    return int(number) if number != name and number.isdigit() else 0


def slides(file: BinaryIO) -> Iterator[str]:
    """Slide by slide: the text of its shapes, its tables, its notes."""
    _check(file)
    for number, slide in enumerate(Presentation(file).slides, 1):
        yield f"## Slide {number}\n"
        yield from _shapes(slide.shapes)
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            notes = slide.notes_slide.notes_text_frame.text.strip()
            if notes:
                yield f"Notes: {notes}\n"


def _shapes(shapes: Iterable[Any]) -> Iterator[str]:
    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _shapes(shape.shapes)
        elif shape.has_text_frame and shape.text_frame.text.strip():
            yield f"{shape.text_frame.text.strip()}\n"
        elif shape.has_table:
            yield _table([cell.text for cell in row.cells] for row in shape.table.rows) + "\n"


def sheets(file: BinaryIO) -> Iterator[str]:
    """Sheet by sheet: a line per row, tabs between the values that its formulas had when it was saved."""
    between = ""
    for name, rows in workbook(file):
        lines = ("\t".join("" if value is None else _line(str(value)) for value in row) for row in rows)
        for index, line in enumerate(filter(str.strip, lines)):
            yield line.rstrip() if index else f"{between}## {name}\n\n{line.rstrip()}"
            between = "\n"


def workbook(file: BinaryIO) -> Iterator[tuple[str, Iterator[tuple[Any, ...]]]]:
    """The sheets with their rows, read as they are needed. Raises BadDocument for a file that cannot be one."""
    _check(file, _SHEETS_LIMIT)
    with warnings.catch_warnings():  # of what it does not keep, should one save the file
        warnings.simplefilter("ignore")
        book = load_workbook(file, read_only=True, data_only=True)
    for sheet in book.worksheets:
        sheet.reset_dimensions()  # what the file says of them may be wrong
        yield sheet.title, sheet.iter_rows(values_only=True)


def _table(rows: Iterable[list[str]]) -> str:
    lines = [f"| {' | '.join(_line(cell).replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    rule = [f"|{' --- |' * (lines[0].count(' | ') + 1)}"] if lines else []
    return "\n".join([*lines[:1], *rule, *lines[1:]])


def _line(text: str) -> str:
    return " ".join(text.split())


def _check(file: BinaryIO, xml_limit: int = _XML_LIMIT) -> None:
    """Before anything is unpacked; raises BadDocument."""
    head = file.read(len(_OLE_HEAD))
    if head == _OLE_HEAD:
        encrypted = "EncryptedPackage".encode("utf-16-le") in file.read()
        raise BadDocument(
            "is encrypted; save it without its password" if encrypted else "is in an old Office format; save it anew"
        )
    file.seek(0)
    try:
        with ZipFile(file) as archive:
            entries = [(entry.filename, entry.file_size) for entry in archive.infolist()]
    except BadZipFile:
        raise BadDocument("is broken, or no Office file; open and save it again") from None
    xml = sum(size for name, size in entries if name.endswith((".xml", ".rels")))
    if xml > xml_limit or sum(size for _, size in entries) > _UNPACKED_LIMIT:
        raise BadDocument(
            f"is too large unpacked: {xml:,} bytes of text, {sum(size for _, size in entries):,} in all "
            f"(limits: {xml_limit:,} and {_UNPACKED_LIMIT:,}); split it"
        )
    file.seek(0)
