"""Documents whose text goes into the prompt, whole or in parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threadmill.documents.document import Document, digest, shown
from threadmill.documents.formats import TEXT_LIMIT, text_of
from threadmill.documents.split import split
from threadmill.documents.template import BadDocument
from threadmill.message import MESSAGE_LIMIT


@dataclass(frozen=True)
class Reading:
    """How text is read. `encoding`: told from the bytes unless given. `max_chars`: of a document, or of its parts."""

    encoding: str | None = None
    max_chars: int | None = None
    split: bool = False  #: a longer document is asked about in parts; else it is refused


@dataclass(frozen=True)
class TextFile(Document):
    reading: Reading = Reading()
    kept: Path | None = None  #: where its bytes are, if not at its path: those of stdin

    @property
    def identity(self) -> str:
        return super().identity if self.kept is None else f"{self.path}#{digest(self.kept)}"

    def variables(self) -> dict[str, Any]:
        text, limit = self.read(), self.reading.max_chars
        if limit is not None and len(text) > limit:
            raise BadDocument(f"has {len(text):,} characters, the limit is {limit:,} (--max-chars); or add --split")
        return {"text": text, "name": self.name, "path": shown(self.path), "part": 1, "parts": 1}

    def parts(self) -> Sequence[Document]:
        """Itself; where long documents are split, parts that hold its text."""
        if not self.reading.split:
            return (self,)
        pieces = split(self.read(), self.reading.max_chars or MESSAGE_LIMIT)
        return [TextPart(self.path, self, piece, number, len(pieces)) for number, piece in enumerate(pieces, 1)]

    def read(self) -> str:
        """The whole text; raises BadDocument."""
        limit = TEXT_LIMIT if self.reading.split or self.reading.max_chars else MESSAGE_LIMIT
        text = text_of(self.kept or self.path, self.reading.encoding, limit=limit)
        if not text.strip():
            raise BadDocument("is empty")
        return text


@dataclass(frozen=True)
class TextPart(Document):
    """The `number`-th of `count` parts of a document, which is found where the whole is."""

    whole: Document
    text: str
    number: int
    count: int

    @property
    def name(self) -> str:
        return self.whole.name

    @property
    def label(self) -> str:
        return self.whole.label

    @property
    def place(self) -> dict[str, Any]:
        return self.whole.place

    @property
    def identity(self) -> str:
        return self.whole.identity if self.count == 1 else f"{self.whole.identity}/{self.number}"

    def variables(self) -> dict[str, Any]:
        where = {"name": self.name, "path": shown(self.path)}
        return {"text": self.text, **where, "part": self.number, "parts": self.count}
