"""The text of Rich Text Format. Its library is of the extra `documents`."""

from collections.abc import Iterator
from typing import BinaryIO

from striprtf.striprtf import rtf_to_text

from threadmill.documents.encoding import decode
from threadmill.documents.template import BadDocument

HEAD = b"{\\rtf"


def text(file: BinaryIO, encoding: str | None = None) -> Iterator[str]:
    """Without formatting and pictures. `encoding`: of characters that are not escaped. Raises BadDocument."""
    content = file.read().lstrip()
    if not content.startswith(HEAD):
        raise BadDocument("is broken, or no RTF file; open and save it again")
    has_binary = b"\\bin" in content  # pictures, whose bytes are no text
    source = content.decode("latin-1") if has_binary or content.isascii() else decode(content, encoding)
    yield str(rtf_to_text(source, errors="replace")).strip()  # type: ignore[no-untyped-call]
