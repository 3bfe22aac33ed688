"""Options of `threadmill batch run`: selection of documents, results, limits."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from threadmill.export.export import ADDITIONAL_FORMATS, Format

_documents = partial(typer.Option, rich_help_panel="Documents")
_results = partial(typer.Option, rich_help_panel="Results")
_limits = partial(typer.Option, rich_help_panel="Resume and limits")

Out = Annotated[Path, _results(help="Write the results to this file, one JSON line per document.")]
Name = Annotated[
    str | None, _limits(help="Name of the batch. Default: derived from --out, the prompt and the job options.")
]
Formats = Annotated[
    list[Format] | None,
    _results(
        "--format",
        metavar="FORMAT",
        help="When the batch ends, also write the results in this format, next to --out: "
        f"{', '.join(ADDITIONAL_FORMATS)}. Repeatable.",
    ),
]
RetryFailed = Annotated[
    bool, _limits("--retry-failed", help="Ask again about documents that failed in an earlier run of this command.")
]
Again = Annotated[bool, _limits("--again", help="Ask about all documents again and overwrite --out.")]
Limit = Annotated[int | None, _documents(min=1, metavar="N", help="Ask about the first N documents only.")]
Sample = Annotated[int | None, _documents(min=1, metavar="N", help="Ask about N documents only, always the same ones.")]
DryRun = Annotated[
    bool, _limits("--dry-run", help="Show the first prompts, the number of tokens and the cost; ask nothing.")
]
MaxCost = Annotated[
    float | None,
    _limits("--max-cost", min=0, help="Stop enqueuing once this much has been spent, by the prices in the settings."),
]
MaxTotalTokens = Annotated[
    int | None,
    _limits("--max-total-tokens", min=1, metavar="N", help="Stop enqueuing once this many tokens have been used."),
]
MaxFailures = Annotated[
    int | None,
    _limits(
        "--max-failures", min=1, metavar="N", help="Stop enqueuing once this many documents have failed in this run."
    ),
]
MaxEndpointFailures = Annotated[
    int,
    _limits(
        "--max-endpoint-failures",
        min=1,
        metavar="N",
        help="Stop when this many jobs in a row fail because of the endpoint (unauthorised, unsupported, quota).",
    ),
]
MaxInFlight = Annotated[
    int, _limits("--max-in-flight", min=1, metavar="N", help="Keep at most this many unfinished jobs in Redis.")
]
Concurrent = Annotated[
    int | None,
    typer.Option(
        "--concurrent",
        min=1,
        metavar="N",
        rich_help_panel="Order and start",
        help="Run at most this many of the jobs at a time. `threadmill batch limit` changes it.",
    ),
]
Detach = Annotated[
    bool, _limits("--detach", help="Run in the background; `threadmill batch attach NAME` shows the progress.")
]
Ordered = Annotated[
    bool, _results("--ordered", help="When the batch ends, sort the lines of --out by the order of the documents.")
]
