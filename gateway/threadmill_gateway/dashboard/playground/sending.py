"""Sends what somebody typed: stores its images and files as uploads, and enqueues the job."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import BinaryIO

from starlette.datastructures import FormData, UploadFile

from threadmill.errors import InvalidJob, KeyConflict
from threadmill.job.prompt import PromptJob
from threadmill_gateway.dashboard.playground.form import Typed
from threadmill_gateway.dashboard.session import CSRF_FIELD
from threadmill_gateway.files.uploading import Form, add_upload, delete_upload
from threadmill_gateway.requests.callers import Caller
from threadmill_gateway.requests.enqueueing import enqueue
from threadmill_gateway.requests.state import Gateway

#: Files that one form may have; a job may have no more.
_FILES = 20

#: Characters of the name of a form in an idempotency key.
_NAME = 64

#: Bytes that are read at a time.
_CHUNK = 256 * 1024


async def send(gateway: Gateway, caller: Caller, typed: Typed, form: FormData) -> str:
    """Enqueues the job, unless the same form was sent before with the same content. Returns the job's id.

    Raises InvalidJob, SettingsError, Problem, UploadTooLarge, UploadNotStored; then nothing was enqueued, and no
    upload stays.
    """
    images, files = _attached(form, "images"), _attached(form, "files")
    if len(images) + len(files) > _FILES:
        raise InvalidJob(f"{len(images) + len(files)} images and files: send {_FILES} at the most")
    await gateway.client.check(typed.job())
    key = f"playground-{str(form.get('form', ''))[:_NAME]}-{await asyncio.to_thread(_digest, form)}"
    async with _uploads(gateway, caller, [*images, *files]) as ids:
        job = typed.job(tuple(ids[: len(images)]), tuple(ids[len(images) :]))
        return await _enqueue(gateway, caller, job.model_copy(update={"key": key}))


async def _enqueue(gateway: Gateway, caller: Caller, job: PromptJob) -> str:
    try:
        return (await enqueue(gateway, caller, job)).id
    except KeyConflict as conflict:  # the same form: its files were stored twice, under other ids
        await _delete(gateway, caller, job.uploads)
        return conflict.job_id


@asynccontextmanager
async def _uploads(gateway: Gateway, caller: Caller, files: Sequence[UploadFile]) -> AsyncIterator[list[str]]:
    """Stores files for as long as the job is kept. Yields their ids; deletes them if what follows fails."""
    ids: list[str] = []
    try:
        for file in files:
            form = Form(file.filename or "file", file.file, {})
            lifetime_s = gateway.settings.result_ttl_s
            stored = await add_upload(gateway, caller, form, purpose="playground", lifetime_s=lifetime_s)
            ids.append(stored.id)
        yield ids
    except Exception:
        await _delete(gateway, caller, ids)
        raise


async def _delete(gateway: Gateway, caller: Caller, upload_ids: Sequence[str]) -> None:
    for upload_id in upload_ids:
        await delete_upload(gateway, caller, upload_id)


def _attached(form: FormData, name: str) -> list[UploadFile]:
    """Returns the files of a field. A browser sends one without a name for an empty field."""
    return [each for each in form.getlist(name) if isinstance(each, UploadFile) and each.filename]


def _digest(form: FormData) -> str:
    """Returns a fingerprint of the content of a form. It blocks."""
    found = hashlib.sha256()
    for name, value in sorted(form.multi_items(), key=lambda item: item[0]):
        if name == CSRF_FIELD:
            continue
        found.update(f"\0{name}\0".encode(errors="surrogatepass"))
        if isinstance(value, str):
            found.update(value.encode(errors="surrogatepass"))
        else:
            found.update(f"{value.filename}\0".encode(errors="surrogatepass"))
            _update(found, value.file)
    return found.hexdigest()[:32]


def _update(digest: "hashlib._Hash", file: BinaryIO) -> None:
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    file.seek(0)
