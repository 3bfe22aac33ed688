"""Renders tables as Markdown. PURE."""

from collections.abc import Iterable


def table(rows: Iterable[list[str]]) -> str:
    """Returns a table whose first row is its header."""
    lines = [f"| {' | '.join(one_line(cell).replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    rule = [f"|{' --- |' * (lines[0].count(' | ') + 1)}"] if lines else []
    return "\n".join([*lines[:1], *rule, *lines[1:]])


def one_line(text: str) -> str:
    return " ".join(text.split())
