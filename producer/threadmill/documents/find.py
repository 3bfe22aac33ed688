"""Finds the documents of paths, folders and globs."""

import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from pathspec import GitIgnoreSpec

from threadmill.documents.attached import IMAGE_SUFFIXES, AttachedFile, ImageFile
from threadmill.documents.document import STDIN, Document
from threadmill.documents.text import ReadOptions, TextFile
from threadmill.errors import ThreadmillError
from threadmill.job.message import FileTool

#: The file in a folder that names files to skip, in the syntax of .gitignore.
IGNORE_FILE = ".threadmillignore"


def find(
    paths: Iterable[str],
    options: ReadOptions | None = None,
    *,
    attach: FileTool | None = None,
    stdin: Path | None = None,
    may_be_empty: bool = False,
) -> list[Document]:
    """Returns the documents of `paths`: images, and other files as text or attached for the tool `attach`.

    `stdin` is the file with the content of the path `-`. Raises ThreadmillError for a path without files,
    unless `may_be_empty`.
    """
    options = options or ReadOptions()
    return [_document(path, options, attach, stdin) for path in find_files(paths, may_be_empty=may_be_empty)]


def find_files(paths: Iterable[str], *, may_be_empty: bool = False) -> list[Path]:
    """Returns the files of folders (recursively), globs and paths in order, each file once whatever symlinks exist.

    Hidden files of a folder and those that its .threadmillignore names are left out. Raises ThreadmillError for
    a path without files, unless `may_be_empty`.
    """
    found: dict[str, Path] = {}
    for given in paths:
        expanded = list(_expand(given))
        if not expanded and not may_be_empty:
            raise ThreadmillError(f"{given}: no such file or folder, or no file in it")
        for path in expanded:
            real = os.path.realpath(path)
            if real in found and found[real].is_symlink() and not path.is_symlink():
                del found[real]  # prefer the name of the file to that of a symlink
            found.setdefault(real, path)
    return list(found.values())


def natural_order(path: Path) -> list[tuple[list[str | int], str]]:
    """A sort key that puts `memo 2` before `memo 10`, folder by folder."""
    return [
        ([int(piece) if piece.isdecimal() else piece for piece in re.split(r"(\d+)", part)], part)
        for part in path.parts
    ]


def _document(path: Path, options: ReadOptions, attach: FileTool | None, stdin: Path | None) -> Document:
    if path == STDIN:
        return TextFile(path, options, stdin)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageFile(path)
    return TextFile(path, options) if attach is None else AttachedFile(path, attach)


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
    """Returns the files that a glob matches, in natural order. `**` does not follow symlinks to folders."""
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
    """Whether one of the parts is hidden, and the pattern does not name its dot, as in a shell."""
    return any(part.startswith(".") and not any(fnmatch(part, pattern) for pattern in named) for part in parts)


def _walk(folder: Path) -> Iterator[Path]:
    ignore = folder / IGNORE_FILE
    lines = ignore.read_text("utf-8").splitlines() if ignore.is_file() else []
    ignored = GitIgnoreSpec.from_lines(lines, backend="simple")  # the RE2 backend fails on names that are not UTF-8
    for path in sorted(folder.rglob("*"), key=natural_order):
        within = path.relative_to(folder)
        if ignored.match_file(within) or any(part.startswith(".") for part in within.parts):
            continue
        if path.is_file() or (path.is_symlink() and not path.exists()):  # a broken symlink is reported as unreadable
            yield path
