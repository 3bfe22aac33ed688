"""The group `threadmill batch`."""

from collections.abc import Sequence
from typing import ClassVar

import typer

from threadmill_cli.command import ShortGroup, examples
from threadmill_cli.later import Later


class BatchGroup(ShortGroup):
    """`threadmill batch PATH...` is `threadmill batch run PATH...`."""

    default = "run"
    later: ClassVar = {
        "run": Later("batch.run", "Ask a prompt about each document, and write each answer to a file as it arrives."),
        "list": Later("batch.watch", "List batches: jobs by state, tokens, cost. The latest change comes first."),
        "show": Later(
            "batch.watch",
            "Show a batch: jobs by state, tokens, cost, failures by kind, how fast it is and how long its jobs took.",
        ),
        "attach": Later("batch.watch", "Watch a batch until it finishes; Ctrl-C stops watching, not the batch."),
        "pause": Later("batch.control", "Stop starting jobs of a batch; running jobs finish."),
        "resume": Later("batch.control", "Start jobs of a paused batch again."),
        "limit": Later(
            "batch.control",
            "Limit how many jobs of a batch run at a time. Running jobs continue, also those above the new limit.",
        ),
        "cancel": Later(
            "batch.control",
            "Cancel the unfinished jobs of a batch; running jobs end when their worker has stopped the remote run.",
        ),
        "redrive": Later("batch.control", "Run the failed jobs of a batch again. A job keeps its earlier results."),
        "export": Later(
            "batch.export",
            "Convert a batch's results to another format. The results file is not changed.",
        ),
    }

    def is_short(self, args: Sequence[str]) -> bool:
        return bool(args) and args[0] not in self.commands


def add_to(app: typer.Typer) -> None:
    batch = typer.Typer(
        cls=BatchGroup,
        no_args_is_help=True,
        help="Ask a prompt about many documents, and watch or change batches.\n\n"
        "`threadmill batch PATH...` is short for `threadmill batch run PATH...`. Only a path that is named like a "
        "command below needs `run`.",
        epilog=examples("threadmill batch notes/ --prompt 'Summarise: {{ text }}'", "threadmill batch show notes"),
    )
    app.add_typer(batch, name="batch")
