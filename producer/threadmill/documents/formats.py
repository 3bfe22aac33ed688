"""The text of a file of any format: read as it is, or taken out of HTML, PDF and Office files.

What takes it out needs libraries that are an extra, imported once the first such file is met.
"""

import os
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from threadmill.documents.encoding import decode
from threadmill.documents.template import BadDocument, too_long
from threadmill.installation import install_command
from threadmill.message import MESSAGE_LIMIT

#: Bytes of a file, and characters of its text: one that is larger would eat the memory.
FILE_LIMIT = 100_000_000
TEXT_LIMIT = 20_000_000

#: Bytes of an HTML file, whose parsing takes many times its size.
_HTML_LIMIT = 5_000_000

#: A character takes at most this many bytes in any encoding of ours.
_BYTES_PER_CHARACTER = 4

_HTML = (".html", ".htm", ".xhtml")

#: Formats from before 2007.
_OLD = {".doc": ".docx", ".ppt": ".pptx", ".xls": ".xlsx"}

#: From an open file to pieces of its text.
_Reader = Callable[[BinaryIO], Iterator[str]]


def text_of(path: Path, encoding: str | None = None, *, limit: int = TEXT_LIMIT) -> str:
    """The text, of at most `limit` characters; raises BadDocument."""
    kind = path.suffix.lower()
    read = _reader(kind, encoding)
    try:
        with path.open("rb") as file:
            if read is not None:
                content = _bytes(file, _HTML_LIMIT if kind in _HTML else FILE_LIMIT)
            else:
                content = _bytes(file, limit * _BYTES_PER_CHARACTER, limit)
    except OSError as error:
        raise BadDocument(f"cannot be read: {error.strerror or error}") from None
    if read is not None:
        return _taken_out(read, BytesIO(content), limit)
    return _fitting(decode(content, encoding, markup=kind in (".xml", ".svg")), limit)


def broken(error: Exception) -> BadDocument:
    """For whatever a library raises that meets a broken file."""
    reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    return BadDocument(f"is broken, or not what its name says ({reason}); open and save it again")


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
    """What takes text out of such files; None: they are text. Raises BadDocument where nothing here can."""
    if kind in _OLD:
        raise BadDocument(f"is in an old Office format; save it as {_OLD[kind]}")
    try:
        if kind in _HTML:
            from threadmill.documents.html import page

            return partial(page, encoding=encoding)
        if kind == ".pdf":
            from threadmill.documents.pdf import pages

            return pages
        if kind in (".docx", ".pptx", ".xlsx"):
            from threadmill.documents import office

            return {".docx": office.word, ".pptx": office.slides, ".xlsx": office.sheets}[kind]
    except ModuleNotFoundError as error:
        raise BadDocument(
            f"is a {kind} file, and the package {error.name!r} to read it is not installed: "
            f"{install_command('documents')}"
        ) from None
    return None


def _taken_out(read: _Reader, file: BinaryIO, limit: int) -> str:
    pieces, size = [], 0
    try:
        for piece in read(file):
            pieces.append(piece)
            size += len(piece) + 1
            if size > limit + 1:
                raise BadDocument(_excess(f"more than {limit:,} characters", limit))
    except BadDocument:
        raise
    except Exception as error:  # libraries raise anything
        raise broken(error) from None
    # PDFs have halves of characters: those that belong together are joined, the others are lost already.
    return "\n".join(pieces).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
