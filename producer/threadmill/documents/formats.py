"""The text of a file of any format: read as it is, or taken out of HTML, PDF and Office files.

What takes it out needs libraries that are an extra, imported once the first such file is met.
"""

import os
import stat
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from threadmill.documents.encoding import decode
from threadmill.documents.template import BadDocument, too_long
from threadmill.message import MESSAGE_LIMIT

#: Bytes of a file, and characters of its text: one that is larger would eat the memory.
FILE_LIMIT = 100_000_000
TEXT_LIMIT = 20_000_000

#: Bytes of an HTML file, whose parsing takes many times its size.
_HTML_LIMIT = 10_000_000

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
    if kind in _OLD:
        raise BadDocument(f"is in an old Office format; save it as {_OLD[kind]}")
    read = _reader(kind)
    try:
        with path.open("rb") as file:
            if read is not None:
                return _taken_out(read, BytesIO(_bytes(file, FILE_LIMIT)), limit)
            if kind in _HTML:
                html = decode(_bytes(file, _HTML_LIMIT), encoding, markup=True)
                return _taken_out(lambda _: _markdown(html), file, limit)
            content = _bytes(file, limit * _BYTES_PER_CHARACTER, limit)
    except OSError as error:
        raise BadDocument(f"cannot be read: {error.strerror or error}") from None
    return _fitting(decode(content, encoding, markup=kind in (".xml", ".svg")), limit)


def _bytes(file: BinaryIO, most: int, limit: int | None = None) -> bytes:
    """All of a file, if that is no more than `most`; it may grow meanwhile, or never end."""
    found = os.fstat(file.fileno())
    size = f"{found.st_size:,}" if stat.S_ISREG(found.st_mode) and found.st_size > most else f"more than {most:,}"
    content = b"" if found.st_size > most else file.read(most + 1)
    if found.st_size > most or len(content) > most:
        raise BadDocument(_excess(f"{size} bytes", limit) if limit else f"has {size} bytes; the limit is {most:,}")
    return content


def _fitting(text: str, limit: int) -> str:
    if len(text) > limit:
        raise BadDocument(_excess(f"{len(text):,} characters", limit))
    return text


def _excess(size: str, limit: int) -> str:
    return too_long(size) if limit <= MESSAGE_LIMIT else f"has {size}; a document has at most {limit:,} characters"


def _reader(kind: str) -> _Reader | None:
    """What takes text out of such files; None: they are text. Raises BadDocument without the extra."""
    try:
        if kind in _HTML:
            import markdownify  # noqa: F401
        if kind == ".pdf":
            from threadmill.documents.pdf import pages

            return pages
        if kind in (".docx", ".pptx", ".xlsx"):
            from threadmill.documents import office

            return {".docx": office.word, ".pptx": office.slides, ".xlsx": office.sheets}[kind]
    except ModuleNotFoundError as error:
        raise BadDocument(
            f"is a {kind} file, and the package {error.name!r} to read it is not installed: "
            "pip install 'threadmill[documents]'"
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
    except Exception as error:  # a broken file can make its library raise anything
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise BadDocument(f"is broken, or not what its name says ({reason}); open and save it again") from None
    return "\n".join(pieces)


def _markdown(html: str) -> Iterator[str]:
    from threadmill.documents.html import markdown

    yield markdown(html)
