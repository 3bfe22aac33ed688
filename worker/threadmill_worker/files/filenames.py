"""Names for files that a model named: fit for any file system, and what kind of file they tell of."""

import mimetypes
import re
import unicodedata
from pathlib import Path

#: Bytes of a name in UTF-8; file systems bear 255, some less.
NAME_LIMIT = 150

_SUFFIX_LIMIT = 20  #: bytes; what is longer is part of the name
_FORBIDDEN = re.compile(r'[<>:"|?*]')  # on Windows
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # there too, with any extension

_SIGNATURES = {
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/gif": re.compile(rb"GIF8[79]a"),
    "image/webp": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
    "application/pdf": re.compile(rb"%PDF-"),
}


def safe_name(name: str, fallback: str) -> str:
    """The name without its folders and without what some file system cannot bear; `fallback` if nothing is left."""
    for candidate in (name, fallback):
        last = re.split(r"[/\\]", candidate.rstrip("/\\"))[-1]
        shown = "".join(char for char in last if not unicodedata.category(char).startswith("C"))
        bare = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", shown)).lstrip(". ").rstrip(". ")
        if bare:
            return numbered(f"_{bare}" if _RESERVED.match(bare) else bare, 1)
    return "file"


def numbered(name: str, number: int) -> str:
    """The name of the first, second, ... file of that name: `plot.png`, `plot-2.png`; within NAME_LIMIT."""
    suffix = Path(name).suffix
    if len(suffix.encode()) > _SUFFIX_LIMIT:
        suffix = ""
    stem, tail = name.removesuffix(suffix), (f"-{number}" if number > 1 else "") + suffix
    room = NAME_LIMIT - len(tail.encode())
    return stem.encode()[:room].decode(errors="ignore").rstrip(". ") + tail


def media_type(path: Path, name: str) -> str:
    """By the file's first bytes, else by its name."""
    with path.open("rb") as file:
        head = file.read(16)
    for kind, signature in _SIGNATURES.items():
        if signature.match(head):
            return kind
    guessed, encoding = mimetypes.guess_type(name)
    return guessed if guessed and not encoding else "application/octet-stream"
