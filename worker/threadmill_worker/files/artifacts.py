"""Where the files a model made are put: a folder, or a URL that fsspec knows, a bucket above all.

A file is spooled to a local disk first: only then are its size and content known, and the store never sees
one that was cut off. Credentials come from fsspec's own configuration and its libraries' environment.
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
    """Why a file cannot be stored, and what helps. Holds no password."""


class ArtifactStore:
    """`url`: a folder, made as needed, or a bucket's URL. `limit`: bytes of one file."""

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
        """Stores a file as JOB_ID/NAME. Raises NotStored, and whatever `chunks` raises.

        An id that is no job id could lead out of the folder: its hash stands for it.

        Of a job's files with one name, the second gets `name-2.ext`, and so on. One that is there with the same
        content is taken for this file, so that a repeated attempt leaves no second copy.
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
            # One after the other: two files of one name would both find it free.
            async with self._placing.setdefault(job_id, asyncio.Lock()):
                name = await self._tried(self._place, path, job_id, name, digest.hexdigest())
        finally:
            await asyncio.to_thread(spool.cleanup)
        uri = "/".join((self._shown.removesuffix("/"), job_id, name))
        return Artifact(file_id=file_id, name=name, uri=uri, media_type=kind, size=size, sha256=digest.hexdigest())

    async def _tried(self, step: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return await asyncio.to_thread(step, *args, **kwargs)
        except Exception as error:  # whatever a store's library raises
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
        """A private folder for the file's bytes; a store that is a folder has it inside, so that a rename will do."""
        if self._scheme is not None:
            return tempfile.TemporaryDirectory(prefix="threadmill-")
        partial = Path(self._url, ".partial")
        partial.mkdir(parents=True, exist_ok=True)
        prefix = hashlib.sha256(f"{job_id}/{file_id}".encode()).hexdigest()[:16] + "-"
        for abandoned in partial.glob(f"{prefix}*"):  # of an attempt whose worker was killed
            shutil.rmtree(abandoned, ignore_errors=True)
        return tempfile.TemporaryDirectory(prefix=prefix, dir=partial)

    def _place(self, path: Path, job_id: str, wanted: str, sha256: str) -> str:
        """Puts the spooled file where it belongs; returns the name it has there."""
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
        """The file system, and the folder in it that is ours."""
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
                remedy = "make room there"
            case PermissionError():
                remedy = "let the worker write there"
            case _:
                remedy = "mend that, or set `artifacts` to another folder or URL"
        return f"cannot be stored in {self._shown}: {reason or type(error).__name__}; {remedy}"


def _append(path: Path, chunk: bytes) -> None:
    with path.open("ab") as file:
        file.write(chunk)


def _media_type(path: Path, name: str) -> str:
    """The media type by the file's first bytes, else by its name."""
    with path.open("rb") as file:
        head = file.read(IMAGE_HEAD)
    if head.startswith(b"%PDF-"):
        return "application/pdf"
    if found := image_type(head):
        return found
    guessed, encoding = mimetypes.guess_type(name)
    return guessed if guessed and not encoding else "application/octet-stream"


def _digest(fs: Any, target: str, size: int) -> str | None:
    """SHA-256 of what is there, None if nothing is; empty if its size already tells it from ours."""
    try:
        if fs.info(target)["size"] != size:
            return ""
        with fs.open(target, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None
