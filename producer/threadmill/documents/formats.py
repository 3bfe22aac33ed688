"""The text of a file of any format: as it is, or extracted from web pages, PDFs, Office files and emails.

The libraries that extract it are an extra, and are imported when the first such file is read.
"""

import os
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from threadmill.documents import mail, workbooks
from threadmill.documents.encoding import decode
from threadmill.documents.template import BadDocument, too_long
from threadmill.documents.workbooks import WORKBOOKS
from threadmill.installation import install_command
from threadmill.message import MESSAGE_LIMIT

#: Bytes of a file, and characters of its text: one that is larger would eat the memory.
FILE_LIMIT = 100_000_000
TEXT_LIMIT = 20_000_000

#: Bytes of an HTML or RTF file, whose parsing takes many times its size.
_MARKUP_LIMIT = 5_000_000

#: A character takes at most this many bytes in any encoding of ours.
_BYTES_PER_CHARACTER = 4

_HTML = (".html", ".htm", ".xhtml")
_MAIL = (".eml", ".mht", ".mhtml")

#: Formats that cannot be read here -> the one to save such a file as.
_SAVE_AS = {
    **dict.fromkeys((".doc", ".docm", ".dotx", ".wps", ".wpd", ".pages"), ".docx"),
    **dict.fromkeys((".ppt", ".pps", ".ppsx", ".pptm"), ".pptx"),
    **dict.fromkeys((".xlsb", ".numbers"), ".xlsx"),
    **dict.fromkeys((".fodt", ".fods", ".fodp"), ".odt, .ods or .odp"),
}

#: From an open file to pieces of its text.
_Reader = Callable[[BinaryIO], Iterator[str]]


def text_of(path: Path, encoding: str | None = None, *, limit: int = TEXT_LIMIT) -> str:
    """The text, of at most `limit` characters; raises BadDocument."""
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
    return _fitting(decode(content, encoding, markup=kind in (".xml", ".svg")), limit)


def broken(error: Exception) -> BadDocument:
    """For whatever a library raises that meets a broken file."""
    reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    return BadDocument(f"is broken, or not what its name says ({reason}); open and save it again")


def needs_extra(kind: str, error: ModuleNotFoundError) -> BadDocument:
    """For a file whose library is not installed."""
    return BadDocument(
        f"is a {kind} file, and the package {error.name!r} to read it is not installed: {install_command('documents')}"
    )


def _bytes(file: BinaryIO, most: int, limit: int | None = None) -> bytes:
    """All of a file, if that is no more than `most`; it may grow meanwhile, or never end."""
    size = os.fstat(file.fileno()).st_size
    content = b"" if size > most else file.read(most + 1)
    if size > most or len(content) > most:
        has = f"{size:,} bytes" if size > most else f"more than {most:,} bytes"
        raise BadDocument(_excess(has, limit) if limit else f"has {has}; the limit is {most:,}")
    return content


def _fitting(text: str, limit: int) -> str:
    if len(text) > limit:
        raise BadDocument(_excess(f"{len(text):,} characters", limit))
    return text


def _excess(size: str, limit: int) -> str:
    return too_long(size) if limit <= MESSAGE_LIMIT else f"has {size}; a document has at most {limit:,} characters"


def _reader(kind: str, encoding: str | None) -> _Reader | None:
    """What extracts the text of such files; None: they are text. Raises BadDocument where nothing here can."""
    if kind in _SAVE_AS:
        raise BadDocument(f"is a {kind} file, which cannot be read; save it as {_SAVE_AS[kind]}")
    try:
        if kind in _HTML:
            from threadmill.documents.html import page

            return partial(page, encoding=encoding)
        if kind == ".pdf":
            from threadmill.documents.pdf import pages

            return pages
        if kind in (".docx", ".pptx"):
            from threadmill.documents import office

            return office.word if kind == ".docx" else office.slides
        if kind in (".odt", ".odp"):
            from threadmill.documents import open_document

            return open_document.document if kind == ".odt" else open_document.slides
        if kind == ".rtf":
            from threadmill.documents import rtf

            return partial(rtf.read_rtf, encoding=encoding)
    except ModuleNotFoundError as error:
        raise needs_extra(kind, error) from None
    if kind in WORKBOOKS:
        return partial(workbooks.text, kind=kind)
    if kind == ".msg" or kind in _MAIL:
        return partial(mail.msg if kind == ".msg" else mail.eml, encoding=encoding)
    return None


def _extracted(read: _Reader, kind: str, file: BinaryIO, limit: int) -> str:
    pieces, size = [], 0
    try:
        for piece in read(file):
            pieces.append(piece)
            size += len(piece) + 1
            if size > limit + 1:
                raise BadDocument(_excess(f"more than {limit:,} characters", limit))
    except BadDocument:
        raise
    except ModuleNotFoundError as error:
        raise needs_extra(kind, error) from None
    except Exception as error:  # libraries raise anything
        raise broken(error) from None
    # PDFs have halves of characters: those that belong together are joined, the others are lost already.
    return "\n".join(pieces).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
