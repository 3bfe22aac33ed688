"""Stores the files that models make: in a folder, or at a URL that fsspec supports, such as a bucket.

A file is first written to a local disk, so that its size and content are known and no truncated file is stored.
Credentials come from the configuration of fsspec and the environment of its libraries.
"""

import asyncio
import errno
import hashlib
import itertools
import mimetypes
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from urllib.parse import unquote
from weakref import WeakValueDictionary

import fsspec

from threadmill.filenames import numbered, safe_name
from threadmill.installation import install_command
from threadmill.job.filetypes import IMAGE_HEAD, image_type
from threadmill.job.result import Artifact
from threadmill.names import is_job_id

_P = ParamSpec("_P")
_T = TypeVar("_T")

_CREDENTIALS = re.compile(r"(?<=://)[^/@:]*:([^/]*)@")


class NotStored(Exception):
    """A file cannot be stored. The text says why, with the remedy and without passwords."""


class ArtifactStore:
    """`url`: a folder, created if needed, or the URL of a bucket. `limit`: bytes of one file."""

    def __init__(self, url: str, limit: int) -> None:
        scheme, mark, rest = url.partition("://")
        self._scheme = scheme if mark and scheme not in ("file", "local") else None
        self._url = url if self._scheme else str(Path(rest or url).expanduser().absolute())
        found = _CREDENTIALS.search(self._url) if self._scheme else None
        self._password = found[1] if found else ""
        self._shown = _CREDENTIALS.sub("", self._url) if self._scheme else self._url
        self._limit = limit
        self._placing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def check(self) -> None:
        """Raises NotStored if nothing can be stored."""
        await self._tried(self._probe)

    async def put(self, job_id: str, file_id: str, name: str, chunks: AsyncIterator[bytes]) -> Artifact:
        """Stores a file as JOB_ID/NAME. Raises NotStored, and any error of `chunks`.

        An invalid job id, which could lead out of the folder, is replaced with its hash. The second file of a job with
        the same name is stored as `name-2.ext`, and so on. If the same content is stored already, no copy is made.
        """
        if not is_job_id(job_id):
            job_id = hashlib.sha256(job_id.encode()).hexdigest()
        spool = await self._tried(self._spool, job_id, file_id)
        try:
            path, digest, size = Path(spool.name, "content"), hashlib.sha256(), 0
            await self._tried(path.touch)
            async for chunk in chunks:
                size += len(chunk)
                if size > self._limit:
                    raise NotStored(f"has more than {self._limit} bytes; raise artifact_limit_bytes")
                digest.update(chunk)
                await self._tried(_append, path, chunk)
            name = safe_name(name, file_id)
            kind = await self._tried(_media_type, path, name)
            # One at a time, so that two files do not get the same name.
            async with self._placing.setdefault(job_id, asyncio.Lock()):
                name = await self._tried(self._place, path, job_id, name, digest.hexdigest())
        finally:
            await asyncio.to_thread(spool.cleanup)
        uri = "/".join((self._shown.removesuffix("/"), job_id, name))
        return Artifact(file_id=file_id, name=name, uri=uri, media_type=kind, size=size, sha256=digest.hexdigest())

    async def _tried(self, step: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return await asyncio.to_thread(step, *args, **kwargs)
        except Exception as error:  # libraries of stores raise their own errors
            raise NotStored(self._why(error)) from None

    def _probe(self) -> None:
        if self._scheme is None:
            with self._spool("", "probe") as folder:
                _append(Path(folder, "content"), b"probe")
            return
        fs, root = self._open()
        fs.pipe_file(f"{root}/.probe", b"probe")
        fs.rm_file(f"{root}/.probe")

    def _spool(self, job_id: str, file_id: str) -> tempfile.TemporaryDirectory[str]:
        """A private folder for the file. It is inside a store that is a folder, so that a rename suffices."""
        if self._scheme is not None:
            return tempfile.TemporaryDirectory(prefix="threadmill-")
        partial = Path(self._url, ".partial")
        partial.mkdir(parents=True, exist_ok=True)
        prefix = hashlib.sha256(f"{job_id}/{file_id}".encode()).hexdigest()[:16] + "-"
        for abandoned in partial.glob(f"{prefix}*"):  # from an attempt whose worker was killed
            shutil.rmtree(abandoned, ignore_errors=True)
        return tempfile.TemporaryDirectory(prefix=prefix, dir=partial)

    def _place(self, path: Path, job_id: str, wanted: str, sha256: str) -> str:
        """Moves the file into the store and returns its name there."""
        fs, root = self._open()
        for number in itertools.count(1):
            name = numbered(wanted, number)
            target = f"{root}/{job_id}/{name}"
            there = _digest(fs, target, path.stat().st_size)
            if there == sha256:
                return name
            if there is None:
                break
        if self._scheme is None:
            Path(target).parent.mkdir(exist_ok=True)
            os.replace(path, target)
        else:
            fs.put_file(str(path), target)
        return name

    def _open(self) -> tuple[Any, str]:
        """Returns the file system, and the folder of the store in it."""
        if self._scheme is None:
            return fsspec.filesystem("file"), self._url.removesuffix("/")
        fs, root = fsspec.url_to_fs(self._url)
        return fs, root.rstrip("/")

    def _why(self, error: Exception) -> str:
        reason = str(error).replace(self._url, self._shown)
        for secret in filter(None, (self._password, unquote(self._password))):
            reason = reason.replace(secret, "...")
        match error:
            case ImportError() if self._scheme in ("s3", "s3a"):
                remedy = install_command("s3")
            case ImportError():
                remedy = "install that package beside threadmill"
            case OSError(errno=errno.ENOSPC | errno.EDQUOT):
                remedy = "free some space there"
            case PermissionError():
                remedy = "let the worker write there"
            case _:
                remedy = "fix that, or set `artifacts` to another folder or URL"
        return f"cannot be stored in {self._shown}: {reason or type(error).__name__}; {remedy}"


def _append(path: Path, chunk: bytes) -> None:
    with path.open("ab") as file:
        file.write(chunk)


def _media_type(path: Path, name: str) -> str:
    """Returns the media type by the file's first bytes, or by its name."""
    with path.open("rb") as file:
        head = file.read(IMAGE_HEAD)
    if head.startswith(b"%PDF-"):
        return "application/pdf"
    if found := image_type(head):
        return found
    guessed, encoding = mimetypes.guess_type(name)
    return guessed if guessed and not encoding else "application/octet-stream"


def _digest(fs: Any, target: str, size: int) -> str | None:
    """Returns the SHA-256 of an existing file; None if there is none; empty if its size differs."""
    try:
        if fs.info(target)["size"] != size:
            return ""
        with fs.open(target, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None
