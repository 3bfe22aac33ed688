"""Options of how `threadmill batch` goes about its documents."""

from typing import Annotated

import typer

from threadmill.batch.export import BESIDE, Format

Formats = Annotated[
    list[Format] | None,
    typer.Option(
        "--format", metavar="FORMAT", help=f"In the end, write the results in this form too: {', '.join(BESIDE)}."
    ),
]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Ask again about what failed in an earlier run of this command.")
]
Force = Annotated[bool, typer.Option("--force", help="Ask about all anew, and overwrite --out, whatever it holds.")]
Limit = Annotated[int | None, typer.Option(min=1, metavar="N", help="Only the first N documents.")]
Sample = Annotated[int | None, typer.Option(min=1, metavar="N", help="Only N documents, the same ones every time.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be asked and what it may cost; ask nothing.")]
MaxCost = Annotated[
    float | None, typer.Option("--max-cost", min=0, help="Begin nothing more once so much is spent ([prices]).")
]
MaxTokens = Annotated[int | None, typer.Option("--max-tokens", min=1, help="The same, of tokens.")]
MaxFailures = Annotated[
    int | None, typer.Option("--max-failures", min=1, help="The same, of documents that failed in this run.")
]
MaxQueued = Annotated[int, typer.Option("--max-queued", min=1, help="Jobs that stand in Redis unfinished, at most.")]
Detach = Annotated[bool, typer.Option("--detach", help="Go on in the background; see: threadmill attach NAME.")]
Ordered = Annotated[bool, typer.Option("--ordered", help="In the end, put the lines in the documents' order.")]
