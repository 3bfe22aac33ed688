"""A document of a set, and what a job says of it. A bad document has a reason, and stops no other."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from threadmill.documents.template import BadDocument, PromptTemplate, too_long
from threadmill.message import MESSAGE_LIMIT

#: A character takes at most this many bytes in UTF-8.
_BYTES_PER_CHARACTER = 4


@dataclass(frozen=True)
class Document(ABC):
    """`path`: as found, relative if it was given so."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def label(self) -> str:
        """What a person finds it by."""
        return str(self.path)

    @property
    def identity(self) -> str:
        """What a later run of the batch knows it by."""
        return str(self.path)

    @property
    def place(self) -> dict[str, Any]:
        """Where it is, as fields of its result line."""
        return {"path": str(self.path), "name": self.name}

    @abstractmethod
    def variables(self) -> dict[str, Any]:
        """What a template can use of it; raises BadDocument."""

    def job_fields(self, template: PromptTemplate) -> dict[str, Any]:
        """The fields of PromptJob that are its own; raises BadDocument."""
        return {"prompt": template.render(self.variables())}

    def parts(self) -> Sequence[Self]:
        """What is asked about one by one, to be answered as one; raises BadDocument."""
        return (self,)


class DocumentSet(Protocol):
    """Documents that may be gone through more than once."""

    def __iter__(self) -> Iterator[Document]: ...

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class TextFile(Document):
    def variables(self) -> dict[str, Any]:
        return {"text": self.read(), "name": self.name, "path": str(self.path)}

    def read(self) -> str:
        """The text; raises BadDocument."""
        try:
            if self.path.stat().st_size > MESSAGE_LIMIT * _BYTES_PER_CHARACTER:
                raise BadDocument(too_long(f"{self.path.stat().st_size:,} bytes"))
            text = self.path.read_text("utf-8-sig")
        except UnicodeDecodeError as error:
            raise BadDocument(
                f"is not UTF-8 text (byte 0x{error.object[error.start]:02x} at {error.start}); "
                "convert it, for example with: iconv -f ENCODING -t UTF-8"
            ) from None
        except OSError as error:
            raise BadDocument(f"cannot be read: {error.strerror or error}") from None
        if not text.strip():
            raise BadDocument("is empty")
        return text
