"""The files of uploads: in the store of artifacts, as `.uploads/ID/NAME`. It needs fsspec, which two extras bring.

No job can have a folder of this name, because no job id begins with a dot. A file is complete when its upload has a
record in Redis; nobody reads it before.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import fsspec

from threadmill.errors import UploadNotFound, UploadNotStored, UploadTooLarge
from threadmill.filenames import safe_name
from threadmill.job.message import UPLOAD_ID

#: Bytes that are copied at a time.
_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class UploadFile:
    """A stored file."""

    name: str  #: without a folder
    size: int  #: bytes


class UploadFiles:
    """Blocking calls to the store at `artifacts`: a folder, or a URL for fsspec. They raise UploadNotStored."""

    def __init__(self, artifacts: str) -> None:
        scheme, mark, rest = artifacts.partition("://")
        self._is_local = not mark or scheme in ("file", "local")
        self._url = str(Path(rest or artifacts).expanduser().absolute()) if self._is_local else artifacts

    def write(self, upload_id: str, name: str, source: BinaryIO, limit: int) -> UploadFile:
        """Stores a file. Leaves nothing behind if it fails. Raises UploadTooLarge for more than `limit` bytes."""
        try:
            with _translated():
                fs, folder = self._folder(upload_id)
                if self._is_local:
                    os.makedirs(folder, exist_ok=True)
                file = UploadFile(safe_name(name, "file"), 0)
                with fs.open(f"{folder}/{file.name}", "wb") as target:
                    return UploadFile(file.name, _copy(source, target, limit))
        except BaseException:
            with suppress(UploadNotStored):
                self.delete(upload_id)
            raise

    def find(self, upload_id: str) -> UploadFile:
        """Returns the stored file of an upload. Raises UploadNotFound."""
        with _translated():
            return self._find(upload_id)[1]

    @contextmanager
    def opened(self, upload_id: str) -> Iterator[tuple[UploadFile, BinaryIO]]:
        """Opens the file of an upload. Raises UploadNotFound."""
        with _translated():
            path, found = self._find(upload_id)
            fs, _ = self._folder(upload_id)
            file = fs.open(path, "rb")
        with file:
            yield found, file

    def delete(self, upload_id: str) -> None:
        """Deletes the file of an upload, if there is one."""
        with _translated():
            fs, folder = self._folder(upload_id)
            with suppress(FileNotFoundError):
                fs.rm(folder, recursive=True)

    def _find(self, upload_id: str) -> tuple[str, UploadFile]:
        fs, folder = self._folder(upload_id)
        fs.invalidate_cache(folder)
        try:
            [entry] = (each for each in fs.ls(folder, detail=True) if each["type"] == "file")
        except (FileNotFoundError, ValueError):  # ValueError: the folder is empty
            raise UploadNotFound(upload_id) from None
        return entry["name"], UploadFile(PurePosixPath(entry["name"]).name, int(entry["size"]))

    def _folder(self, upload_id: str) -> tuple[Any, str]:
        """Returns the file system, and the folder of an upload in it. Raises UploadNotFound for what is no id."""
        if not UPLOAD_ID.match(upload_id):
            raise UploadNotFound(upload_id)
        if self._is_local:
            return fsspec.filesystem("file"), f"{self._url.removesuffix('/')}/.uploads/{upload_id}"
        fs, root = fsspec.url_to_fs(self._url)
        return fs, f"{root.rstrip('/')}/.uploads/{upload_id}"


def _copy(source: BinaryIO, target: BinaryIO, limit: int) -> int:
    size = 0
    while chunk := source.read(_CHUNK):
        size += len(chunk)
        if size > limit:
            raise UploadTooLarge(limit)
        target.write(chunk)
    return size


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (UploadNotFound, UploadTooLarge):
        raise
    except Exception as error:  # libraries of stores raise their own errors
        raise UploadNotStored(error) from error
