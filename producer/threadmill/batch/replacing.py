"""Writes files so that readers see the old content or the new one, never a part."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Yields a new file that replaces `path` at the end of the block, and is removed if the block fails.

    Raises OSError.
    """
    new = path.with_name(f".{path.name}.new")
    try:
        with new.open("wb") as file:
            yield cast(BinaryIO, file)
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)
