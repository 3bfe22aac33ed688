"""Reads the text of a file: plain text, or extracted from web pages, PDFs, Office files and emails.

The libraries are the extra `documents`, imported when the first such file is read.
"""

import os
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from threadmill.documents.errors import BadDocument, too_long
from threadmill.documents.readers import mail, workbooks
from threadmill.documents.readers.encoding import decode
from threadmill.documents.readers.workbooks import WORKBOOK_SUFFIXES
from threadmill.installation import install_command
from threadmill.job.message import MESSAGE_LIMIT
from threadmill.surrogates import replace_surrogates

#: The largest file in bytes, and the longest text in characters, that are held in memory.
FILE_LIMIT = 100_000_000
TEXT_LIMIT = 20_000_000

#: The largest HTML or RTF file in bytes: parsing takes many times its size.
_MARKUP_LIMIT = 5_000_000

#: The most bytes that a character takes in any supported encoding.
_BYTES_PER_CHARACTER = 4

_HTML = (".html", ".htm", ".xhtml")
_MAIL = (".eml", ".mht", ".mhtml")

#: Formats that are not supported -> the format to convert to.
_SAVE_AS = {
    **dict.fromkeys((".doc", ".docm", ".dotx", ".wps", ".wpd", ".pages"), ".docx"),
    **dict.fromkeys((".ppt", ".pps", ".ppsx", ".pptm"), ".pptx"),
    **dict.fromkeys((".xlsb", ".numbers"), ".xlsx"),
    **dict.fromkeys((".fodt", ".fods", ".fodp"), ".odt, .ods or .odp"),
}

#: Yields the text of an open file in pieces.
_Reader = Callable[[BinaryIO], Iterator[str]]


def extract_text(path: Path, encoding: str | None = None, *, limit: int = TEXT_LIMIT) -> str:
    """Returns the text. Raises BadDocument, also for more than `limit` characters."""
    kind = path.suffix.lower()
    read = _reader(kind, encoding)
    try:
        with path.open("rb") as file:
            if read is not None:
                content = _bytes(file, _MARKUP_LIMIT if kind in (*_HTML, ".rtf") else FILE_LIMIT)
            else:
                content = _bytes(file, limit * _BYTES_PER_CHARACTER, limit)
    except OSError as error:
        raise BadDocument(f"cannot be read: {error.strerror or error}") from None
    if read is not None:
        if not content:
            raise BadDocument("is empty")
        return _extracted(read, kind, BytesIO(content), limit)
    return _checked(decode(content, encoding, markup=kind in (".xml", ".svg")), limit)


def broken_file(error: Exception) -> BadDocument:
    """The error for a file that a library cannot read."""
    reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    return BadDocument(f"is broken, or not what its name says ({reason}); open and save it again")


def missing_extra(kind: str, error: ModuleNotFoundError) -> BadDocument:
    """The error for a file whose library is not installed."""
    return BadDocument(
        f"is a {kind} file, and the package {error.name!r} to read it is not installed: {install_command('documents')}"
    )


def _bytes(file: BinaryIO, most: int, limit: int | None = None) -> bytes:
    """Returns the content. Raises BadDocument if it has more than `most` bytes, also where the size is not known."""
    size = os.fstat(file.fileno()).st_size
    content = b"" if size > most else file.read(most + 1)
    if size > most or len(content) > most:
        actual = f"{size:,} bytes" if size > most else f"more than {most:,} bytes"
        raise BadDocument(_too_large(actual, limit) if limit else f"has {actual}; the limit is {most:,}")
    return content


def _checked(text: str, limit: int) -> str:
    if len(text) > limit:
        raise BadDocument(_too_large(f"{len(text):,} characters", limit))
    return text


def _too_large(size: str, limit: int) -> str:
    return too_long(size) if limit <= MESSAGE_LIMIT else f"has {size}; a document has at most {limit:,} characters"


def _reader(kind: str, encoding: str | None) -> _Reader | None:
    """Returns the reader of a format, None for plain text. Raises BadDocument for an unsupported format."""
    if kind in _SAVE_AS:
        raise BadDocument(f"is a {kind} file, which cannot be read; save it as {_SAVE_AS[kind]}")
    try:
        if kind in _HTML:
            from threadmill.documents.readers.html import read_html

            return partial(read_html, encoding=encoding)
        if kind == ".pdf":
            from threadmill.documents.readers.pdf import read_pdf

            return read_pdf
        if kind in (".docx", ".pptx"):
            from threadmill.documents.readers import office

            return office.read_docx if kind == ".docx" else office.read_pptx
        if kind in (".odt", ".odp"):
            from threadmill.documents.readers import open_document

            return open_document.read_odt if kind == ".odt" else open_document.read_odp
        if kind == ".rtf":
            from threadmill.documents.readers import rtf

            return partial(rtf.read_rtf, encoding=encoding)
    except ModuleNotFoundError as error:
        raise missing_extra(kind, error) from None
    if kind in WORKBOOK_SUFFIXES:
        return partial(workbooks.read_workbook, kind=kind)
    if kind == ".msg" or kind in _MAIL:
        return partial(mail.read_msg if kind == ".msg" else mail.read_eml, encoding=encoding)
    return None


def _extracted(read: _Reader, kind: str, file: BinaryIO, limit: int) -> str:
    pieces, size = [], 0
    try:
        for piece in read(file):
            pieces.append(piece)
            size += len(piece) + 1
            if size > limit + 1:
                raise BadDocument(_too_large(f"more than {limit:,} characters", limit))
    except BadDocument:
        raise
    except ModuleNotFoundError as error:
        raise missing_extra(kind, error) from None
    except Exception as error:  # libraries raise anything
        raise broken_file(error) from None
    return replace_surrogates("\n".join(pieces))  # text of PDFs can have surrogates
