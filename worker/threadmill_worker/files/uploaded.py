"""Reads the uploads that jobs name, from the store of artifacts."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from threadmill.errors import InvalidJob, UploadNotFound, UploadNotStored
from threadmill.settings.settings import Settings
from threadmill.upload_files import UploadFile, UploadFiles


@contextmanager
def opened_upload(upload_id: str, settings: Settings) -> Iterator[tuple[UploadFile, BinaryIO]]:
    """Opens the file of an upload. Raises InvalidJob if there is none, or if it cannot be read."""
    try:
        with UploadFiles(settings.artifacts).opened(upload_id) as opened:
            yield opened
    except (UploadNotFound, UploadNotStored) as error:
        raise InvalidJob(f"{upload_id}: this worker cannot read it ({error})") from None
    except OSError as error:
        raise InvalidJob(f"{upload_id}: this worker cannot read it ({error.strerror or error})") from None


def sha256_of(file: BinaryIO) -> str:
    """Returns the hash of the whole file, read in pieces."""
    file.seek(0)
    return hashlib.file_digest(cast("hashlib._BytesIOLike", file), "sha256").hexdigest()


def read_upload(upload_id: str, settings: Settings) -> bytes:
    """Returns the content of an upload, which never changes. Raises InvalidJob if it is gone."""
    with opened_upload(upload_id, settings) as (_, file):
        return file.read()
