"""Reads JSONL files, also with very long lines."""

import json
from collections.abc import Iterator
from typing import Any, TextIO

#: The longest line in characters: it can contain images as data URLs.
LINE_LIMIT = 50_000_000


def read_objects(file: TextIO) -> Iterator[tuple[int, dict[str, Any], str]]:
    """Yields the number of each line that is not blank, its object, and why it is not an object, or ''."""
    number = 0
    while line := file.readline(LINE_LIMIT):
        number += 1
        is_cut = len(line) == LINE_LIMIT and not line.endswith("\n")
        if is_cut:
            _skip(file)
        if line.strip():
            problem, value = (f"has more than {LINE_LIMIT:,} characters", None) if is_cut else _parsed(line)
            yield number, {"line": line[:200]} if value is None else value, problem


def _parsed(line: str) -> tuple[str, dict[str, Any] | None]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"is not JSON: {error}", None
    return ("", value) if isinstance(value, dict) and value else ("is not a JSON object with fields", None)


def _skip(file: TextIO) -> None:
    """Reads to the end of the line."""
    while (rest := file.readline(LINE_LIMIT)) and not rest.endswith("\n"):
        pass
