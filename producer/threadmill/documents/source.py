"""Opens the document set and the prompt template that options of a batch describe."""

import atexit
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from threadmill.documents.document import STDIN, Document
from threadmill.documents.find import find, find_files
from threadmill.documents.readers.encoding import check_encoding
from threadmill.documents.requests import RequestDocuments
from threadmill.documents.rows import RowDocuments
from threadmill.documents.template import WITHOUT_TEXT, PromptTemplate
from threadmill.documents.text import ReadOptions
from threadmill.errors import ThreadmillError
from threadmill.job.message import FileTool


def default_prompt(attach: FileTool | None) -> str:
    """Returns the prompt template for documents whose text is in the prompt, or that are attached."""
    return "Summarise the file {{ name }}." if attach else "Summarise:\n{{ text }}"


class DocumentSet(Protocol):
    """Documents that can be iterated more than once; their texts are not held in memory."""

    def __iter__(self) -> Iterator[Document]: ...

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class DocumentSource:
    """How paths become documents. By default each file is one, and its text is in the prompt."""

    rows: bool = False  #: each row of a table is a document
    requests: bool = False  #: each request of an input file of the Batch API is a document
    id_column: str | None = None  #: the column that identifies a row
    encoding: str | None = None  #: of text and tables; default: detected
    attach: FileTool | None = None  #: upload files for this tool, in place of their text in the prompt
    max_chars: int | None = None  #: the longest document, or with `split` part; default: what fits a message
    split: bool = False  #: ask about longer documents in parts

    def prompt(self, given: str | None) -> str:
        """Returns the source of the template. Raises ThreadmillError for options that exclude each other."""
        kinds = [name for name in ("rows", "requests", "attach") if getattr(self, name)]
        if len(kinds) > 1:
            raise ThreadmillError(f"--{kinds[0]} and --{kinds[1]}: use only one of them")
        if kinds and (self.split or self.max_chars is not None):
            raise ThreadmillError(f"--split and --max-chars apply to texts, not to --{kinds[0]}; leave them out")
        if self.id_column is not None and not self.rows:
            raise ThreadmillError("--id-column needs --rows")
        if self.requests and given is not None:
            raise ThreadmillError("--requests: each request has its own prompt; leave out --prompt and --prompt-file")
        if self.requests:
            return ""
        return given if given is not None else default_prompt(self.attach)

    def open(self, paths: Sequence[str], prompt: str) -> tuple[DocumentSet, PromptTemplate]:
        """Returns the documents and their prompt template. Raises ThreadmillError, BadTemplate."""
        encoding = check_encoding(self.encoding) if self.encoding is not None else None
        if str(STDIN) in paths and self.attach is not None:
            raise ThreadmillError("-: stdin cannot be attached; save it as a file")
        stdin = _save_stdin() if str(STDIN) in paths else None
        if self.requests:
            return RequestDocuments(find_files(paths), encoding=encoding, stdin=stdin), PromptTemplate("")
        if self.rows:
            rows = RowDocuments(find_files(paths), self.id_column, encoding=encoding, stdin=stdin)
            return rows, _row_template(prompt, rows)
        if self.attach is not None:
            return find(paths, attach=self.attach), PromptTemplate(prompt, WITHOUT_TEXT)
        options = ReadOptions(encoding, self.max_chars, self.split)
        documents = find(paths, options.fitting(PromptTemplate(prompt)) if self.split else options, stdin=stdin)
        return documents, PromptTemplate(prompt, document_variables=document_variables_of(documents))


def document_variables_of(documents: Iterable[Document]) -> Collection[str]:
    """Returns the variables of which a template must use one; none if all documents are attached."""
    return next((document.document_variables for document in documents if document.document_variables), ())


def _row_template(prompt: str, rows: RowDocuments) -> PromptTemplate:
    """Returns the template, checked with the first good row."""
    for row in rows:
        if not row.problem:
            return PromptTemplate(
                prompt, row.variables(), document_variables=row.document_variables, columns=row.fields
            )
    return PromptTemplate(prompt, None)


def _save_stdin() -> Path:
    """Saves stdin to a file until the process ends, because a set can be iterated more than once."""
    with tempfile.NamedTemporaryFile(prefix="threadmill-stdin-", delete=False) as file:
        atexit.register(Path(file.name).unlink, missing_ok=True)
        shutil.copyfileobj(sys.stdin.buffer, file)
    return Path(file.name)
