"""A document: its names, its identity, and the job that asks about it.

A document that cannot be used raises BadDocument with the reason; the others of the set are not affected.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threadmill.documents.errors import BadDocument
from threadmill.documents.template import PromptTemplate
from threadmill.errors import InvalidJob
from threadmill.surrogates import escape_surrogates

#: The path of a document that is read from stdin.
STDIN = Path("-")

#: Job fields in which the values for all documents and those of one document are combined.
_COMBINED = ("images", "files")


@dataclass(frozen=True)
class Document(ABC):
    """One input. `path` is as found: relative if the user gave a relative path."""

    path: Path

    @property
    def name(self) -> str:
        return "stdin" if self.path == STDIN else printable(self.path.name)

    @property
    def label(self) -> str:
        """The name that messages use, by which a person finds the document."""
        return "stdin" if self.path == STDIN else printable(self.path)

    @property
    def identity(self) -> str:
        """Identifies the document in later invocations of the batch."""
        return printable(self.path)

    @property
    def location(self) -> dict[str, Any]:
        """The fields of its result line that say where it is."""
        return {"path": printable(self.path), "name": self.name}

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that a worker reads for its job."""
        return ()

    @property
    def document_variables(self) -> tuple[str, ...]:
        """The variables that refer to this document. A template must use one of them, unless files are attached."""
        return () if self.files else ("text", "name", "path")

    @property
    def common_variables(self) -> dict[str, Any]:
        """The variables of every prompt template, for a document that is not split."""
        return {"name": self.name, "path": printable(self.path), "part": 1, "parts": 1}

    @abstractmethod
    def variables(self) -> dict[str, Any]:
        """Returns the variables for the prompt template. Raises BadDocument."""

    def job_fields(self, template: PromptTemplate) -> dict[str, Any]:
        """Returns the fields of PromptJob that differ between documents. Raises BadDocument."""
        return {"prompt": template.render(self.variables())}

    def explain(self, error: InvalidJob) -> str:
        """Returns the error message, with the names that the user wrote."""
        return str(error)

    def parts(self) -> "Sequence[Document]":
        """Returns the parts, each of which gets its own job. Raises BadDocument."""
        return (self,)

    def fingerprint(self) -> str:
        """Returns a digest of the contents of its files, '' if it has none. Raises BadDocument."""
        return "".join(map(file_digest, self.files))


@dataclass(frozen=True)
class NumberedDocument(Document):
    """One of several documents in a file."""

    number: int  #: the line where it ends, or the row; from 1

    @property
    def name(self) -> str:
        return f"{super().name}:{self.number}"

    @property
    def label(self) -> str:
        return f"{super().label}:{self.number}"


class DocumentsInFiles(ABC):
    """Documents from files that contain several. Each iteration reads the files again, so that they are not in memory.

    `stdin` is the file with the content of the path `-`. Iterating raises ThreadmillError for an unreadable file.
    """

    def __init__(self, paths: Iterable[Path], *, encoding: str | None = None, stdin: Path | None = None) -> None:
        self._paths = list(paths)
        self._encoding = encoding
        self._stdin = stdin

    @abstractmethod
    def __iter__(self) -> Iterator[NumberedDocument]: ...

    def __len__(self) -> int:
        return sum(1 for _ in self)


class UniqueIds:
    """Makes ids unique within one set: a repeated id gets a number, so that each document has its own result line."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def take(self, wanted: str) -> tuple[str, bool]:
        """Returns an id that no earlier document has, and whether that is different from `wanted`."""
        unique, count = wanted, self._counts.get(wanted, 0)
        while unique in self._counts:
            count += 1
            unique = f"{wanted}/{count}"
        self._counts[wanted] = max(count, 1)
        self._counts.setdefault(unique, 1)
        return unique, unique != wanted


def merge_fields(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of a job: those `common` to all documents and its `own`. Images and files are combined."""
    combined = {name: [*common[name], *own[name]] for name in _COMBINED if common.get(name) and own.get(name)}
    return {**common, **own, **combined}


def printable(name: object) -> str:
    """Returns a file name as text that can be encoded, with escapes for bytes that are not UTF-8."""
    return escape_surrogates(str(name))


def file_digest(path: Path) -> str:
    """Returns the SHA-256 of a file. Raises BadDocument."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadDocument(f"cannot be read: {error.strerror or error}") from None
