"""The fenced code blocks of a Markdown page, and the command lines in them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(
    r"^(?:`(?P<above>[\w./-]+)`:\n\n)?```(?P<language>\w+)\n(?P<text>(?:# (?P<within>[\w./-]+\.\w+)\b)?.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    line: int  #: number of the block's first line on its page
    file: str | None = None  #: whose content it is: named in the line above it, or in its first line


def blocks(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    return [
        Block(
            found["language"],
            found["text"],
            text.count("\n", 0, found.start("text")) + 1,
            found["above"] or found["within"],
        )
        for found in _BLOCK.finditer(text)
    ]


def commands(block: Block) -> Iterator[tuple[int, str]]:
    """Each command with its line number; a command that continues after a backslash is one."""
    pending, start = "", block.line
    for number, line in enumerate(block.text.splitlines(), block.line):
        if not pending:
            start = number
        pending += line
        if line.endswith("\\"):
            pending += "\n"
            continue
        if pending.strip() and not pending.lstrip().startswith("#"):
            yield start, pending
        pending = ""
