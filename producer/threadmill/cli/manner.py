"""Options of how `threadmill batch` goes about its documents."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from threadmill.batch.export import BESIDE, Format

_documents = partial(typer.Option, rich_help_panel="Documents")
_results = partial(typer.Option, rich_help_panel="Results")
_going = partial(typer.Option, rich_help_panel="Going on, and how far")

Out = Annotated[Path, _results(help="One JSON line per document.")]
Name = Annotated[str | None, _going(help="Name of the batch. Default: made from --out and the prompt.")]
Formats = Annotated[
    list[Format] | None,
    _results(
        "--format", metavar="FORMAT", help=f"In the end, write the results in this form too: {', '.join(BESIDE)}."
    ),
]
RetryFailed = Annotated[
    bool, _going("--retry-failed", help="Ask again about what failed in an earlier run of this command.")
]
Force = Annotated[bool, _going("--force", help="Ask about all anew, and overwrite --out, whatever it holds.")]
Limit = Annotated[int | None, _documents(min=1, metavar="N", help="Only the first N documents.")]
Sample = Annotated[int | None, _documents(min=1, metavar="N", help="Only N documents, the same ones every time.")]
DryRun = Annotated[bool, _going("--dry-run", help="Show what would be asked and what it may cost; ask nothing.")]
MaxCost = Annotated[
    float | None,
    _going("--max-cost", min=0, help="Begin nothing more once so much is spent (settings: prices)."),
]
MaxTokens = Annotated[int | None, _going("--max-tokens", min=1, help="The same, of tokens.")]
MaxFailures = Annotated[
    int | None, _going("--max-failures", min=1, help="The same, of documents that failed in this run.")
]
MaxQueued = Annotated[int, _going("--max-queued", min=1, help="Jobs that stand in Redis unfinished, at most.")]
Detach = Annotated[bool, _going("--detach", help="Go on in the background; see: threadmill attach NAME.")]
Ordered = Annotated[bool, _results("--ordered", help="In the end, put the lines in the documents' order.")]
