"""The files that pages load: `static/`, each with a version that its address names."""

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib import resources
from pathlib import PurePath

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class StaticFile:
    content: bytes
    media_type: str
    version: str  #: changes with the content


@cache
def _files() -> dict[str, StaticFile]:
    found = {}
    for file in (resources.files(__package__) / "static").iterdir():
        media_type = _TYPES.get(PurePath(file.name).suffix)
        if media_type:
            content = file.read_bytes()
            found[file.name] = StaticFile(content, media_type, sha256(content).hexdigest()[:12])
    return found


def file_of(name: str) -> StaticFile:
    """Raises KeyError."""
    return _files()[name]
