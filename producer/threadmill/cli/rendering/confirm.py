"""Commands that cannot be undone ask first at a terminal, and need --yes elsewhere."""

import sys
from typing import Annotated

import typer

from threadmill.errors import ThreadmillError

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask; needed when not at a terminal.")]


class NotConfirmed(ThreadmillError):
    """There was nobody to ask."""


def confirm(question: str, *, yes: bool) -> None:
    """Ends the command unless the user agrees. Raises NotConfirmed when not at a terminal, where `yes` is needed."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise NotConfirmed(f"{question} Nothing was changed: pass --yes to confirm when not at a terminal")
    typer.confirm(question, abort=True, err=True)
