"""The group `threadmill batch`."""

from collections.abc import Sequence

import typer

from threadmill_cli.command import ShortGroup, examples
from threadmill_cli.commands.batch import control, export, run, watch


class BatchGroup(ShortGroup):
    """`threadmill batch PATH...` is `threadmill batch run PATH...`."""

    default = "run"

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
    run.add_to(batch)
    watch.add_to(batch)
    control.add_to(batch)
    export.add_to(batch)
    app.add_typer(batch, name="batch")
