"""A document of a set, and what a job says of it. A bad document has a reason, and stops no other."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threadmill.documents.template import BadDocument, PromptTemplate
from threadmill.errors import InvalidJob

#: The path that stands for what comes on stdin.
STDIN = Path("-")

#: Fields of a job that what goes with all documents and what is a document's own add up in.
_ADD_UP = ("images", "files")


@dataclass(frozen=True)
class Document(ABC):
    """`path`: as found, relative if it was given so."""

    path: Path

    @property
    def name(self) -> str:
        return "stdin" if self.path == STDIN else shown(self.path.name)

    @property
    def label(self) -> str:
        """What a person finds it by."""
        return "stdin" if self.path == STDIN else shown(self.path)

    @property
    def identity(self) -> str:
        """What a later run of the batch knows it by."""
        return shown(self.path)

    @property
    def place(self) -> dict[str, Any]:
        """Where it is, as fields of its result line."""
        return {"path": shown(self.path), "name": self.name}

    @property
    def files(self) -> tuple[Path, ...]:
        """Those a worker reads for it."""
        return ()

    @property
    def carriers(self) -> tuple[str, ...]:
        """The variables that stand for it: a prompt must use one, unless its files are sent beside the prompt."""
        return () if self.files else ("text", "name", "path")

    @abstractmethod
    def variables(self) -> dict[str, Any]:
        """What a template can use of it; raises BadDocument."""

    def job_fields(self, template: PromptTemplate) -> dict[str, Any]:
        """The fields of PromptJob that are its own; raises BadDocument."""
        return {"prompt": template.render(self.variables())}

    def explain(self, error: InvalidJob) -> str:
        """Why its job was refused, in terms of what the user wrote."""
        return str(error)

    def parts(self) -> "Sequence[Document]":
        """What is asked about one by one, to be answered as one; raises BadDocument."""
        return (self,)

    def fingerprint(self) -> str:
        """Of what its files hold, which its job's fields only name: '' without any. Raises BadDocument."""
        return "".join(map(digest, self.files))


@dataclass(frozen=True)
class Numbered(Document):
    """One of many in a file."""

    number: int  #: of the line where it ends, or of the row; from 1

    @property
    def name(self) -> str:
        return f"{super().name}:{self.number}"

    @property
    def label(self) -> str:
        return f"{super().label}:{self.number}"


class UniqueIds:
    """Ids of the documents of one set: a repeated one gets a number, so that no two documents share a result line."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def take(self, wanted: str) -> tuple[str, bool]:
        """An id that no earlier document has, and whether `wanted` was taken."""
        unique, count = wanted, self._counts.get(wanted, 0)
        while unique in self._counts:
            count += 1
            unique = f"{wanted}/{count}"
        self._counts[wanted] = max(count, 1)
        self._counts.setdefault(unique, 1)
        return unique, unique != wanted


def asked(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A job's fields: those common to all documents, and a document's own. Images and files go along together."""
    both = {name: [*common[name], *own[name]] for name in _ADD_UP if common.get(name) and own.get(name)}
    return {**common, **own, **both}


def shown(name: object) -> str:
    """Fit to be written down, whatever bytes a file is named by."""
    return str(name).encode("utf-8", "backslashreplace").decode("utf-8")


def digest(path: Path) -> str:
    """Of what a file holds; raises BadDocument."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadDocument(f"cannot be read: {error.strerror or error}") from None
