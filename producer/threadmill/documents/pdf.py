"""The text of a PDF. Its library is of the extra `documents`."""

import logging
from collections.abc import Iterator
from typing import BinaryIO

from pypdf import PdfReader

from threadmill.documents.template import BadDocument

# What it has to say of odd PDFs is for those who log, not for stderr.
logging.getLogger("pypdf").addHandler(logging.NullHandler())


def pages(file: BinaryIO) -> Iterator[str]:
    """Page by page; raises BadDocument for one without any text."""
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
            f"has no text on its {len(reader.pages)} pages, only images perhaps; "
            "run OCR over it (ocrmypdf), or have the server read it: --attach file_search"
        )
