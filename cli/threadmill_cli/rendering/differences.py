"""Shows changes of an assistant, field by field, and long texts line by line."""

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.text import Text

from threadmill.names import printable

_CONTEXT = 3


def differences(changes: Mapping[str, Sequence[Any]]) -> Iterator[Text]:
    """Yields lines: removed values in red, added values in green."""
    for name, (old, new) in changes.items():
        before, after = _lines(old), _lines(new)
        yield Text(f"  {name}")
        if len(before) <= 1 and len(after) <= 1:
            yield from (_coloured(f"-{line}") for line in before)
            yield from (_coloured(f"+{line}") for line in after)
        else:
            lines = difflib.unified_diff(before, after, n=_CONTEXT, lineterm="")
            yield from (_coloured(line) for number, line in enumerate(lines) if number > 1)  # without file names


def _lines(value: Any) -> list[str]:
    """Splits text into lines and renders other values as JSON; empty values have no lines."""
    if value in (None, "", [], {}):
        return []
    if isinstance(value, str):
        return value.split("\n")
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, indent=2).split("\n")
    return [str(value)]


def _coloured(line: str) -> Text:
    style = {"-": "red", "+": "green", "@": "cyan"}.get(line[0], "")
    return Text(f"    {printable(line)}", style)
