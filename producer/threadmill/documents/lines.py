"""Files of one JSON value per line, of lines as long as they may be."""

from collections.abc import Iterator
from typing import TextIO

#: Characters of a line: images may stand in it as data URLs. A longer one would eat the memory.
LINE_LIMIT = 50_000_000


def lines(file: TextIO) -> Iterator[tuple[int, str, str]]:
    """Those that are not blank: number, line, and what is wrong with it if it is too long."""
    number = 0
    while line := file.readline(LINE_LIMIT):
        number += 1
        cut = len(line) == LINE_LIMIT and not line.endswith("\n")
        rest = line
        while cut and rest and not rest.endswith("\n"):
            rest = file.readline(LINE_LIMIT)
        if line.strip():
            yield number, line, f"has more than {LINE_LIMIT:,} characters" if cut else ""
