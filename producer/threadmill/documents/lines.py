"""Files of one JSON object per line, of lines as long as they may be."""

import json
from collections.abc import Iterator
from typing import Any, TextIO

#: Characters of a line: images may stand in it as data URLs. A longer one would eat the memory.
LINE_LIMIT = 50_000_000


def objects(file: TextIO) -> Iterator[tuple[int, dict[str, Any], str]]:
    """Of each line that is not blank: its number, what it holds, and why that is no object, if it is none."""
    number = 0
    while line := file.readline(LINE_LIMIT):
        number += 1
        cut = len(line) == LINE_LIMIT and not line.endswith("\n")
        if cut:
            _skip(file)
        if line.strip():
            problem, value = (f"has more than {LINE_LIMIT:,} characters", None) if cut else _parsed(line)
            yield number, {"line": line[:200]} if value is None else value, problem


def _parsed(line: str) -> tuple[str, dict[str, Any] | None]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"is not JSON: {error}", None
    return ("", value) if isinstance(value, dict) and value else ("is no JSON object with fields", None)


def _skip(file: TextIO) -> None:
    """To the end of the line."""
    while (rest := file.readline(LINE_LIMIT)) and not rest.endswith("\n"):
        pass
