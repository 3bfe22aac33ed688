"""Options of what a document set is made of."""

from collections.abc import Iterable
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
        help="Folders, globs and files: text, HTML, PDF, Office, emails, images. - reads stdin.",
        show_default=False,
    ),
]
AsRows = Annotated[
    bool,
    _option(
        "--rows", help="Ask about each row of .csv, .tsv, .jsonl and .parquet files and workbooks, not about the files."
    ),
]
IdColumn = Annotated[str | None, _option(help="With --rows: the column that names a row. Default: all it holds.")]
AsRequests = Annotated[
    bool, _option("--requests", help="Ask each request of .jsonl files made for OpenAI's Batch API.")
]
Encoding = Annotated[str | None, _option(help="Of text and tables: big5, cp1252, ... Default: told from the bytes.")]
Attach = Annotated[
    Literal["file_search", "code_interpreter"] | None,
    _option(help="Upload each file for this tool, in place of its text in the prompt."),
]
MaxChars = Annotated[
    int | None, _option("--max-chars", min=100, help="Refuse longer documents; with --split: length of a part.")
]
Split = Annotated[
    bool, _option("--split", help="Ask about a long document in parts. Default length: what a message holds.")
]


def own_files(documents: DocumentSet) -> Iterable[Path]:
    """What goes along with single documents. Rows and requests have none, and are not read for it."""
    return (file for document in documents for file in document.files) if isinstance(documents, list) else ()
