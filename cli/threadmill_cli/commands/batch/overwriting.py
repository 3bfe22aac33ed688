"""Protects files from being replaced: inputs always, other files that threadmill did not write until confirmed."""

import os
from collections.abc import Iterable
from pathlib import Path

from threadmill.errors import ThreadmillError
from threadmill.export.ownership import is_own
from threadmill_cli.rendering.confirm import confirm


def own(files: Iterable[Path], results: Path) -> list[Path]:
    """Returns the files that exist and that threadmill wrote: `results`, or files made from it."""
    return [file for file in files if file.exists() and _is_own(file, results)]


def refuse_inputs(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Raises ThreadmillError if an output is one of the inputs."""
    existing = {os.path.realpath(file): file for file in outputs if file.exists()}
    for file in inputs:
        if output := existing.get(os.path.realpath(file)):
            raise ThreadmillError(
                f"{output} is an input of this command and is never overwritten. Choose another --out"
            )


def confirm_overwriting(files: Iterable[Path], results: Path, *, yes: bool) -> None:
    """Asks for confirmation before a command replaces files that threadmill did not write.

    `results`: the results file that they are, or are made from. `yes`: replace them without asking.
    Raises NotConfirmed without a terminal.
    """
    foreign = [str(file) for file in files if file.exists() and not _is_own(file, results)]
    if yes or not foreign:
        return
    confirm(f"{', '.join(foreign)}: not recognised as written by threadmill. Overwrite?", yes=False)


def _is_own(file: Path, results: Path) -> bool:
    try:
        return is_own(file, results)
    except OSError as error:
        raise ThreadmillError(f"{file}: cannot be read: {error.strerror or error}") from None
