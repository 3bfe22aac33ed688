"""Which documents paths lead to."""

import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from pathspec import GitIgnoreSpec

from threadmill.documents.attached import IMAGES, Attached, Image
from threadmill.documents.document import STDIN, Document
from threadmill.documents.text import Reading, TextFile
from threadmill.errors import ThreadmillError
from threadmill.message import FileTool

#: In a folder: patterns of what is no document, as in a .gitignore.
IGNORE_FILE = ".threadmillignore"


def find(
    paths: Iterable[str],
    reading: Reading | None = None,
    *,
    attach: FileTool | None = None,
    stdin: Path | None = None,
    may_be_empty: bool = False,
) -> list[Document]:
    """The documents that paths lead to: images, and the others as text, or as files for the tool `attach`.

    `stdin`: the file that holds what came there, for the path `-`. Raises ThreadmillError for a path
    that leads to no file, unless it `may_be_empty`.
    """
    reading = reading or Reading()
    return [_document(path, reading, attach, stdin) for path in find_files(paths, may_be_empty=may_be_empty)]


def find_files(paths: Iterable[str], *, may_be_empty: bool = False) -> list[Path]:
    """The files of folders (recursive), globs and files, each file once however many symlinks lead to it, in order.

    Folders: without hidden files, and those that the folder's .threadmillignore names.
    Raises ThreadmillError for a path that leads to no file, unless it `may_be_empty`.
    """
    found: dict[str, Path] = {}
    for given in paths:
        expanded = list(_expand(given))
        if not expanded and not may_be_empty:
            raise ThreadmillError(f"{given}: no such file or folder, or no file in it")
        for path in expanded:
            real = os.path.realpath(path)
            if real in found and found[real].is_symlink() and not path.is_symlink():
                del found[real]  # its own name is better than that of a symlink
            found.setdefault(real, path)
    return list(found.values())


def natural_order(path: Path) -> list[tuple[list[str | int], str]]:
    """Sort key that puts `memo 2` before `memo 10`, folder by folder."""
    return [
        ([int(piece) if piece.isdecimal() else piece for piece in re.split(r"(\d+)", part)], part)
        for part in path.parts
    ]


def _document(path: Path, reading: Reading, attach: FileTool | None, stdin: Path | None) -> Document:
    if path == STDIN:
        return TextFile(path, reading, stdin)
    if path.suffix.lower() in IMAGES:
        return Image(path)
    return TextFile(path, reading) if attach is None else Attached(path, attach)


def _expand(given: str) -> Iterator[Path]:
    path = Path(given)
    if path == STDIN:
        yield path
    elif path.is_dir():
        yield from _walk(path)
    elif path.exists():
        yield path
    else:
        yield from _matches(path)


def _matches(pattern: Path) -> list[Path]:
    """The files that a glob matches, in natural order. As in folders, `**` follows no symlink to another folder."""
    parts = pattern.parts
    plain = next((index for index, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    wild = [part if part == "**" else re.sub(r"\*{2,}", "*", part) for part in parts[plain:]]
    if not wild:
        return []
    if wild[-1] == "**":
        wild.append("*")
    hidden = [part for part in wild if part.startswith(".")]
    folder = Path(*parts[:plain])
    found = (
        path
        for path in folder.glob("/".join(wild))
        if path.is_file() and not _hides(path.relative_to(folder).parts, hidden)
    )
    return sorted(found, key=natural_order)


def _hides(parts: Iterable[str], named: Sequence[str]) -> bool:
    """Whether one of the parts is hidden, and the pattern does not name it with its dot, as shells have it."""
    return any(part.startswith(".") and not any(fnmatch(part, each) for each in named) for part in parts)


def _walk(folder: Path) -> Iterator[Path]:
    ignore = folder / IGNORE_FILE
    lines = ignore.read_text("utf-8").splitlines() if ignore.is_file() else []
    ignored = GitIgnoreSpec.from_lines(lines, backend="simple")  # RE2's refuses names that are not UTF-8
    for path in sorted(folder.rglob("*"), key=natural_order):
        is_document = path.is_file() or (path.is_symlink() and not path.exists())  # that one will have its reason
        within = path.relative_to(folder)
        if is_document and not any(part.startswith(".") for part in within.parts) and not ignored.match_file(within):
            yield path
