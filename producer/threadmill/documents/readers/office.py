"""Converts Word documents and PowerPoint slides to Markdown. Needs the extra `documents`."""

from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from docx import Document as open_word
from docx.oxml.ns import qn
from pptx import Presentation

from threadmill.documents.readers import archive
from threadmill.documents.readers.markdown import table

_BREAKS = {qn("w:tab"): "\t", qn("w:br"): "\n", qn("w:cr"): "\n", qn("w:noBreakHyphen"): "-", qn("w:p"): "\n"}

#: A copy of text for old programs.
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"

#: Copies, deleted text, and properties.
_SKIPPED = (_FALLBACK, qn("w:del"), qn("w:pPr"), qn("w:rPr"), qn("w:instrText"))


def read_docx(file: BinaryIO) -> Iterator[str]:
    """Yields paragraphs and tables in their order. The style of a paragraph makes it a heading."""
    archive.check(file)
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
            yield f"{table(rows)}\n"
        elif child.tag not in _SKIPPED:  # content controls, insertions
            yield from _blocks(child, levels)


def _text(element: Any) -> str:
    if element.tag == qn("w:t"):
        return element.text or ""
    inner = "".join(_text(child) for child in element if child.tag not in _SKIPPED)
    return _BREAKS.get(element.tag, "") + inner


def _level(style: str) -> int:
    name = style.lower()
    if name == "title":
        return 1
    number = name.removeprefix("heading ")
    return int(number) if number != name and number.isdigit() else 0


def read_pptx(file: BinaryIO) -> Iterator[str]:
    """Yields each slide: the text of its shapes, its tables and its notes."""
    archive.check(file)
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
            yield table([cell.text for cell in row.cells] for row in shape.table.rows) + "\n"
