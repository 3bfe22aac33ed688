"""File names that are valid on any file system. PURE."""

import re
import unicodedata
from pathlib import Path

#: Bytes of a name in UTF-8; file systems allow 255, some less.
NAME_LIMIT = 150

#: Bytes of a suffix; a longer one counts as part of the name.
_SUFFIX_LIMIT = 20

#: Characters that Windows does not allow, and names that it reserves, with any suffix.
_FORBIDDEN = re.compile(r'[<>:"|?*]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


def safe_name(name: str, fallback: str) -> str:
    """Returns the name without folders and without characters that some file system forbids.

    If nothing remains, cleans `fallback` in the same way, or returns "file".
    """
    for candidate in (name, fallback):
        last = re.split(r"[/\\]", candidate.rstrip("/\\"))[-1]
        printable = "".join(char for char in last if not unicodedata.category(char).startswith("C"))
        bare = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", printable)).lstrip(". ").rstrip(". ")
        if bare:
            return numbered(f"_{bare}" if _RESERVED.match(bare) else bare, 1)
    return "file"


def numbered(name: str, number: int) -> str:
    """Returns the first, second, ... variant of a name, within NAME_LIMIT: `plot.png`, `plot-2.png`."""
    suffix = Path(name).suffix
    if len(suffix.encode()) > _SUFFIX_LIMIT:
        suffix = ""
    stem, tail = name.removesuffix(suffix), (f"-{number}" if number > 1 else "") + suffix
    room = NAME_LIMIT - len(tail.encode())
    return stem.encode()[:room].decode(errors="ignore").rstrip(". ") + tail
