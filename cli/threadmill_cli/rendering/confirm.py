"""Asks for confirmation at a terminal, and requires --yes elsewhere."""

import sys
from typing import Annotated

import typer

from threadmill.errors import ThreadmillError

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask; needed when not at a terminal.")]


class NotConfirmed(ThreadmillError):
    """A confirmation is needed, and stdin is not a terminal."""


def confirm(question: str, *, yes: bool) -> None:
    """Ends the command unless the user agrees. Raises NotConfirmed without a terminal, unless `yes`."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise NotConfirmed(f"{question} Nothing was changed: pass --yes to confirm when not at a terminal")
    typer.confirm(question, abort=True, err=True)
