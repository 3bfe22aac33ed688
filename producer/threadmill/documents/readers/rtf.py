"""Reads Rich Text Format. Needs the extra `documents`."""

import re
from collections.abc import Iterator
from typing import BinaryIO

from striprtf.striprtf import rtf_to_text

from threadmill.documents.errors import BadDocument
from threadmill.documents.readers.encoding import decode

_SIGNATURE = b"{\\rtf"

#: Declares the code page of characters that are not escaped.
_CODE_PAGE = re.compile(rb"\\ansicpg(\d+)")


def read_rtf(file: BinaryIO, encoding: str | None = None) -> Iterator[str]:
    """Yields the text without formatting and pictures. `encoding`: of unescaped characters. Raises BadDocument."""
    content = file.read().lstrip()
    if not content.startswith(_SIGNATURE):
        raise BadDocument("is broken, or not an RTF file; open and save it again")
    code_page = None if encoding else _CODE_PAGE.search(content)
    has_pictures = b"\\bin" in content  # their bytes are not text
    if has_pictures or content.isascii():
        source = content.decode("latin-1")
    else:
        source = decode(content, encoding, declared=f"cp{code_page[1].decode()}" if code_page else None)
    yield str(rtf_to_text(source, errors="replace")).strip()  # type: ignore[no-untyped-call]
