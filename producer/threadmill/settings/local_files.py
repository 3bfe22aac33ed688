"""Finds the local files that jobs name, inside the folders of `file_roots`."""

import os
from collections.abc import Sequence
from pathlib import Path

from threadmill.errors import InvalidJob
from threadmill.settings.config_file import CONFIG_NAME


def locate(path: str, file_roots: Sequence[Path], *, producer: bool = False) -> Path:
    """Returns the real path of a job's local file, with symlinks resolved. Raises InvalidJob.

    It must be in one of the `file_roots`, and must exist if its root does: a producer need not have the workers' disk.
    `producer`: this machine named the path, so a file that is missing may be reported as missing; a worker does not
    reveal which files it has.
    """
    try:
        found = Path(os.path.realpath(path))
        known_roots = [Path(os.path.realpath(root.expanduser())) for root in file_roots]
        roots = [root for root in known_roots if found.is_relative_to(root)]
        is_there = found.exists()
        is_file_expected = any(root.exists() for root in roots)
        is_unfit = not found.is_file() if is_file_expected else producer and not roots and not is_there
    except (OSError, ValueError) as error:  # no permission, too long, contains NUL
        raise InvalidJob(f"{path!r}: cannot be looked up: {error}") from None
    if is_unfit:
        raise InvalidJob(
            f"{path}: is a folder, a device or a pipe; name a file instead"
            if is_there
            else f"{path}: there is no such file; correct the path"
        )
    if not roots:
        allowed = ", ".join(map(str, file_roots)) or "none"
        remedy = (
            f"add its folder to file_roots in {CONFIG_NAME}, here and where the workers run"
            if producer
            else f"add its folder to file_roots in the worker's {CONFIG_NAME}, then restart the worker"
        )
        raise InvalidJob(f"{path}: outside the folders that workers may read ({allowed}); {remedy}")
    return found
