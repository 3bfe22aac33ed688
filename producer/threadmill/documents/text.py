"""Documents whose text is in the prompt, whole or in parts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from threadmill.documents.document import Document, file_digest
from threadmill.documents.errors import BadDocument
from threadmill.documents.readers.formats import TEXT_LIMIT, extract_text
from threadmill.documents.split import split
from threadmill.documents.template import PromptTemplate
from threadmill.job.message import MESSAGE_LIMIT


@dataclass(frozen=True)
class ReadOptions:
    """How text is read. Without `encoding`, it is detected. `max_chars` is the longest document, or part."""

    encoding: str | None = None
    max_chars: int | None = None
    split: bool = False  #: ask about a longer document in parts; otherwise it is refused

    def fitting(self, template: PromptTemplate) -> "ReadOptions":
        """Returns the options with parts that fit into a message with the prompt. Raises BadTemplate."""
        limit_chars = template.max_text_chars()
        return replace(self, max_chars=min(self.max_chars or limit_chars, limit_chars))


@dataclass(frozen=True)
class TextFile(Document):
    """A file whose text is in the prompt."""

    options: ReadOptions = ReadOptions()
    stored_at: Path | None = None  #: the file with its content if that is not `path`, as for stdin

    @property
    def identity(self) -> str:
        return super().identity if self.stored_at is None else f"{self.path}#{file_digest(self.stored_at)}"

    def variables(self) -> dict[str, Any]:
        text, limit = self.read(), self.options.max_chars
        if limit is not None and len(text) > limit:
            raise BadDocument(f"has {len(text):,} characters, the limit is {limit:,} (--max-chars); or add --split")
        return {"text": text, **self.common_variables}

    def parts(self) -> Sequence[Document]:
        """Returns the document itself, or its parts if long documents are split."""
        if not self.options.split:
            return (self,)
        pieces = split(self.read(), self.options.max_chars or MESSAGE_LIMIT)
        return [TextPart(self.path, self, piece, number, len(pieces)) for number, piece in enumerate(pieces, 1)]

    def read(self) -> str:
        """Returns the whole text. Raises BadDocument."""
        limit = TEXT_LIMIT if self.options.split or self.options.max_chars else MESSAGE_LIMIT
        text = extract_text(self.stored_at or self.path, self.options.encoding, limit=limit)
        if not text.strip():
            raise BadDocument("is empty")
        return text


@dataclass(frozen=True)
class TextPart(Document):
    """The `number`-th of `count` parts of a document. Its names and its location are those of the whole."""

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
    def location(self) -> dict[str, Any]:
        return self.whole.location

    @property
    def identity(self) -> str:
        return self.whole.identity if self.count == 1 else f"{self.whole.identity}/{self.number}"

    def variables(self) -> dict[str, Any]:
        return {"text": self.text, **self.common_variables, "part": self.number, "parts": self.count}
