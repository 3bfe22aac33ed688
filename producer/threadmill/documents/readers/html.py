"""Converts HTML to Markdown. Needs the extra `documents`."""

import re
import warnings
from collections.abc import Iterator
from typing import BinaryIO

from bs4 import BeautifulSoup, Comment
from markdownify import MarkdownConverter

from threadmill.documents.readers.encoding import decode

#: Elements that a browser does not show.
_HIDDEN = ("script", "style", "noscript", "template", "svg", "iframe", "object", "head")


def read_html(file: BinaryIO, encoding: str | None = None) -> Iterator[str]:
    """Yields the page with headings, lists, tables and links, without images. Raises BadDocument."""
    with warnings.catch_warnings():  # about pages that look like XML, or like a file name
        warnings.simplefilter("ignore")
        soup = BeautifulSoup(decode(file.read(), encoding, markup=True), "lxml")
    title = soup.title.get_text(" ", strip=True) if soup.title else ""
    for element in soup.find_all(_HIDDEN):
        element.decompose()
    for comment in soup.find_all(string=lambda text: isinstance(text, Comment)):
        comment.extract()
    converter = MarkdownConverter(heading_style="ATX", bullets="-", strip=["img"], escape_misc=False)
    text = re.sub(r"\n{3,}", "\n\n", converter.convert_soup(soup)).strip()
    has_title = soup.h1 is not None or not title
    yield text if has_title or not text else f"# {title}\n\n{text}"
