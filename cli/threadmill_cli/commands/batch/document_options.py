"""Options that select and read documents."""

import os
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from threadmill.documents.source import DocumentSet

_option = partial(typer.Option, rich_help_panel="Documents")

Paths = Annotated[
    list[str],
    typer.Argument(
        metavar="PATH",
        help="Files, folders and globs: text, HTML, PDF, Office, emails, images. - reads stdin.",
        show_default=False,
    ),
]
AsRows = Annotated[
    bool,
    _option("--rows", help="Each row of the .csv, .tsv, .jsonl and .parquet files and workbooks is a document."),
]
IdColumn = Annotated[
    str | None, _option(help="With --rows: the column that identifies a row. Default: the content of the row.")
]
AsRequests = Annotated[
    bool, _option("--requests", help="Each line of the .jsonl files is a request for OpenAI's Batch API.")
]
Encoding = Annotated[
    str | None, _option(help="Encoding of text files and tables, such as big5 or cp1252. Default: detected.")
]
Attach = Annotated[
    Literal["file_search", "code_interpreter"] | None,
    _option(help="Upload each file for this tool instead of putting its text into the prompt."),
]
MaxChars = Annotated[
    int | None,
    _option("--max-chars", min=100, help="Refuse documents longer than this; with --split, the length of a part."),
]
Split = Annotated[
    bool,
    _option("--split", help="Ask about long documents in parts. Default length of a part: what fits into a message."),
]


def without(documents: DocumentSet, files: Iterable[Path]) -> DocumentSet:
    """Removes `files` from a set of files. Rows and requests are returned unchanged."""
    others = {os.path.realpath(file) for file in files}
    if not isinstance(documents, list):
        return documents
    names = {os.path.basename(path) for path in others}  # the others are certainly different
    return [each for each in documents if each.path.name not in names or os.path.realpath(each.path) not in others]


def local_files(*names: str | Path | None) -> Iterator[Path]:
    """Yields the names that are local files, not URLs or ids."""
    return (Path(name) for name in names if name is not None and os.path.isfile(name))


def attached_files(documents: DocumentSet) -> Iterable[Path]:
    """Returns the files attached to single documents. Rows and requests have none, and are not read."""
    return (file for document in documents for file in document.files) if isinstance(documents, list) else ()
