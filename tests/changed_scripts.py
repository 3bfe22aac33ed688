"""Scripts of the store with other constants, so that a test needs few jobs and does not depend on time."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from threadmill.store import scripts


@contextmanager
def changed_scripts(part: str, **constants: Any) -> Iterator[None]:
    """Gives constants of lua/PART.lua other values, for the clients and workers that are made in this context."""
    read = scripts._text

    def changed(name: str) -> str:
        text = read(name)
        for constant, value in constants.items() if name == part else ():
            before, found, after = text.partition(f"local {constant} = ")
            assert found, f"{part} has no constant {constant}"
            text = f"{before}{found}{value}{after[after.index(' ') :]}"
        return text

    scripts._body.cache_clear()
    with patch.object(scripts, "_text", changed):
        yield
    scripts._body.cache_clear()
