"""Files as replies: in ranges, and so that a browser runs nothing of what a model made."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import fsspec
from starlette.responses import Response, StreamingResponse

from threadmill_gateway.files.ranges import asked_range
from threadmill_gateway.requests.problems import Problem

#: Bytes that are read at a time.
_CHUNK = 256 * 1024

#: Types that a browser shows without running anything.
_SHOWN = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "text/plain"})

_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(; ?charset=[\w-]+)?", re.ASCII)


@dataclass(frozen=True)
class StoredFile:
    """A file in a store. Its methods block."""

    fs: Any
    path: str
    size: int

    def read(self, start: int, stop: int) -> bytes:
        with self.fs.open(self.path, "rb") as file:
            file.seek(start)
            return bytes(file.read(stop - start))


def find(store: str, *steps: str) -> StoredFile:
    """Returns a file by its folders and its name in a store: a folder, or a URL for fsspec. Raises FileNotFoundError.

    The caller makes sure that no step leads out of the store.
    """
    scheme, mark, rest = store.partition("://")
    if not mark or scheme in ("file", "local"):
        fs, root = fsspec.filesystem("file"), str(Path(rest or store).expanduser().absolute())
    else:
        fs, root = fsspec.url_to_fs(store)
    path = "/".join((root.rstrip("/"), *steps))
    info = fs.info(path)
    if info["type"] != "file":
        raise FileNotFoundError(path)
    return StoredFile(fs, path, int(info["size"]))


def reply(file: StoredFile, name: str, media_type: str, range_header: str | None, **headers: str) -> Response:
    """Returns the file, or the part of it that the header asks for. Raises Problem for a wrong range."""
    asked = asked_range(range_header, file.size)
    start, stop = asked or (0, file.size)
    media_type, safe = safe_type(name, media_type)
    sent = {**safe, "Accept-Ranges": "bytes", "Content-Length": str(stop - start), **headers}
    if asked is not None:
        sent["Content-Range"] = f"bytes {start}-{stop - 1}/{file.size}"
    status = HTTPStatus.OK if asked is None else HTTPStatus.PARTIAL_CONTENT
    return StreamingResponse(_pieces(file, start, stop), status, sent, media_type)


def safe_type(name: str, media_type: str) -> tuple[str, dict[str, str]]:
    """Returns the type and the headers of a file that nobody trusts, so that a browser runs nothing of it."""
    media_type = media_type if _TYPE.fullmatch(media_type) else "application/octet-stream"
    shown = "inline" if media_type in _SHOWN else "attachment"
    return media_type, {
        "Cache-Control": "private",
        "Content-Disposition": f"{shown}; filename*=UTF-8''{quote(name, safe='')}",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
    }


async def _pieces(file: StoredFile, start: int, stop: int) -> AsyncIterator[bytes]:
    for at in range(start, stop, _CHUNK):
        yield await asyncio.to_thread(file.read, at, min(at + _CHUNK, stop))


def missing(what: str) -> Problem:
    """Returns the problem that a file is not there, or is no longer kept."""
    return Problem(HTTPStatus.NOT_FOUND, f"there is no {what}, or it is no longer kept")


FILE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file", "content": {"application/octet-stream": {}}},
    206: {"description": "The part of the file that `Range` asks for", "content": {"application/octet-stream": {}}},
}
