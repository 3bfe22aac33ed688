"""What a document set is made of: paths, and how they are taken."""

import atexit
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from threadmill.documents.document import STDIN, Document
from threadmill.documents.encoding import check_encoding
from threadmill.documents.find import find, find_files
from threadmill.documents.requests import Requests
from threadmill.documents.rows import Rows
from threadmill.documents.template import WITHOUT_TEXT, PromptTemplate
from threadmill.documents.text import Reading
from threadmill.errors import ThreadmillError
from threadmill.message import FileTool

_SUMMARISE, _SUMMARISE_FILE = "Summarise:\n{{ text }}", "Summarise the file {{ name }}."


class DocumentSet(Protocol):
    """May be gone through more than once; holds no texts."""

    def __iter__(self) -> Iterator[Document]: ...

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class Source:
    """By default each file is a document, whose text is in the prompt."""

    rows: bool = False  #: each row of a table is one
    requests: bool = False  #: each request of a file for the Batch API is one
    id_column: str | None = None  #: of rows
    encoding: str | None = None  #: of text and tables; default: told from the bytes
    attach: FileTool | None = None  #: files go along for this tool, in place of their text
    max_chars: int | None = None  #: of a document, or with `split` of its parts; no more than a message holds
    split: bool = False  #: longer documents are asked about in parts

    def prompt(self, given: str | None) -> str:
        """The template's source. Raises ThreadmillError for what does not go together."""
        kinds = [name for name in ("rows", "requests", "attach") if getattr(self, name)]
        if len(kinds) > 1:
            raise ThreadmillError(f"--{kinds[0]} and --{kinds[1]}: a document is either; leave one of them out")
        if kinds and (self.split or self.max_chars is not None):
            raise ThreadmillError(f"--split and --max-chars are for texts, not for --{kinds[0]}; leave them out")
        if self.id_column is not None and not self.rows:
            raise ThreadmillError("--id-column names a column of --rows; add that, or leave it out")
        if self.requests and given is not None:
            raise ThreadmillError("--requests: a request holds its own prompt; leave --prompt and --prompt-file out")
        if given is not None:
            return given
        return "" if self.requests else _SUMMARISE_FILE if self.attach else _SUMMARISE

    def open(self, paths: Sequence[str], prompt: str) -> tuple[DocumentSet, PromptTemplate]:
        """The documents, and how they are asked about. Raises ThreadmillError, BadTemplate."""
        encoding = check_encoding(self.encoding) if self.encoding is not None else None
        if str(STDIN) in paths and self.attach is not None:
            raise ThreadmillError("-: stdin cannot be attached; save it as a file")
        stdin = _kept() if str(STDIN) in paths else None
        if self.requests:
            return Requests(find_files(paths), encoding=encoding, stdin=stdin), PromptTemplate("")
        if self.rows:
            rows = Rows(find_files(paths), self.id_column, encoding=encoding, stdin=stdin)
            return rows, _of_rows(prompt, rows)
        if self.attach is not None:
            return find(paths, attach=self.attach), PromptTemplate(prompt, WITHOUT_TEXT)
        limit = self.max_chars
        if self.split:
            room = PromptTemplate(prompt).room()
            limit = min(limit or room, room)
        documents = find(paths, Reading(encoding, limit, self.split), stdin=stdin)
        return documents, PromptTemplate(prompt, carriers=carriers_of(documents))


def carriers_of(documents: Iterable[Document]) -> Collection[str]:
    """The variables of which a prompt must use one; empty if all documents are sent beside the prompt."""
    return next((document.carriers for document in documents if document.carriers), ())


def _of_rows(prompt: str, rows: Rows) -> PromptTemplate:
    """Checked with the first row that has no problem."""
    for row in rows:
        if not row.problem:
            return PromptTemplate(prompt, row.variables(), carriers=row.carriers, columns=row.fields)
    return PromptTemplate(prompt, None)


def _kept() -> Path:
    """What comes on stdin, in a file until we end: a set may be gone through twice."""
    with tempfile.NamedTemporaryFile(prefix="threadmill-stdin-", delete=False) as file:
        atexit.register(Path(file.name).unlink, missing_ok=True)
        shutil.copyfileobj(sys.stdin.buffer, file)
    return Path(file.name)
