"""Reads PDFs. Needs the extra `documents`."""

import logging
from collections.abc import Iterator
from typing import BinaryIO

from pypdf import PdfReader

from threadmill.documents.errors import BadDocument

# Its warnings about malformed PDFs go to configured log handlers, not to stderr.
logging.getLogger("pypdf").addHandler(logging.NullHandler())


def read_pdf(file: BinaryIO) -> Iterator[str]:
    """Yields the text of each page. Raises BadDocument for a PDF without text."""
    reader = PdfReader(file)
    if reader.is_encrypted and not reader.decrypt(""):
        raise BadDocument("is encrypted; save it without its password")
    found = False
    for page in reader.pages:
        text = page.extract_text().strip()
        found = found or bool(text)
        yield f"{text}\n"
    if not found:
        raise BadDocument(
            f"has no text on its {len(reader.pages)} pages, perhaps only images; "
            "run OCR over it (ocrmypdf), or have the server read it: --attach file_search"
        )
