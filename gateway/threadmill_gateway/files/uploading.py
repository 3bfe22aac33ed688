"""Uploads over HTTP: a form with a file becomes an upload of the caller, which its jobs can use."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, BinaryIO

from fastapi import Request
from starlette.datastructures import FormData, UploadFile

from threadmill.errors import UploadNotFound
from threadmill.job.upload import Upload, new_upload_id
from threadmill.upload_files import UploadFiles
from threadmill_gateway.requests.callers import Caller
from threadmill_gateway.requests.problems import wrong_field
from threadmill_gateway.requests.state import Gateway

#: Bytes of a request beside its file: the other fields, and what separates them.
FORM_BYTES = 100_000

#: Bytes that are sent at a time.
_CHUNK = 256 * 1024

#: Fields of a form beside its file.
_FIELDS = 10


@dataclass(frozen=True)
class Form:
    """A form with one file, which is on a local disk until the end of the request."""

    name: str
    content: BinaryIO
    fields: dict[str, str]


@asynccontextmanager
async def form_of(request: Request, known: Collection[str]) -> AsyncIterator[Form]:
    """Reads the body of a request. Raises Problem. `known`: the fields that a form may have beside `file`.

    A route calls it when it knows who calls: a parameter of the route would be read before.
    """
    async with request.form(max_files=1, max_fields=_FIELDS, max_part_size=FORM_BYTES) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise wrong_field("file", "the request is no multipart/form-data with a file in the field `file`", "add it")
        yield Form(file.filename or "file", file.file, _fields(form, known))


def _fields(form: FormData, known: Collection[str]) -> dict[str, str]:
    fields = {name: value for name, value in form.multi_items() if name != "file" and isinstance(value, str)}
    for name in fields:
        if name not in known:
            raise wrong_field(name, f"the form has an unknown field `{name:.100}`", "leave it out")
    return fields


async def add_upload(
    gateway: Gateway,
    caller: Caller,
    form: Form,
    *,
    purpose: str,
    lifetime_s: int | None = None,
    until_used: bool = False,
) -> Upload:
    """Stores the file of a form as the caller's. Raises UploadTooLarge, UploadNotStored; then nothing is stored."""
    settings = gateway.settings
    upload_id = new_upload_id()
    await gateway.client.call(lambda client: client.store.begin_upload(upload_id))
    limit = settings.upload_limit_bytes
    file = await asyncio.to_thread(UploadFiles(settings.artifacts).write, upload_id, form.name, form.content, limit)
    now = await gateway.client.call(lambda client: client.store.now())
    upload = Upload(
        id=upload_id,
        name=file.name,
        size=file.size,
        purpose=purpose,
        owner=caller.name,
        created_at=now,
        expires_at=now + timedelta(seconds=lifetime_s or settings.failed_ttl_s),
        until_used=until_used,
    )
    await gateway.client.call(lambda client: client.store.add_upload(upload))
    return upload


async def upload_of(gateway: Gateway, caller: Caller, upload_id: str) -> Upload:
    """Returns an upload. Raises UploadNotFound also for one of another caller."""
    upload = await gateway.client.call(lambda client: client.store.upload(upload_id))
    if not caller.owns(upload.owner):
        raise UploadNotFound(upload_id)
    return upload


async def delete_upload(gateway: Gateway, caller: Caller, upload_id: str) -> None:
    """Raises UploadNotFound also for an upload of another caller."""
    await upload_of(gateway, caller, upload_id)
    await gateway.client.call(lambda client: client.store.delete_upload(upload_id))


@asynccontextmanager
async def opened(files: UploadFiles, upload_id: str) -> AsyncIterator[BinaryIO]:
    """Opens the file of an upload in a thread; the store may be far away. Raises UploadNotFound, UploadNotStored."""
    opening = files.opened(upload_id)
    _, file = await asyncio.to_thread(opening.__enter__)
    try:
        yield file
    finally:
        await asyncio.to_thread(file.close)


async def content_of(gateway: Gateway, upload: Upload) -> AsyncGenerator[bytes, None]:
    """Yields the file of an upload in pieces."""
    async with opened(UploadFiles(gateway.settings.artifacts), upload.id) as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            yield chunk


def documented_form(**fields: Any) -> dict[str, Any]:
    """Returns the form of a route for OpenAPI. `fields`: the schemas of its fields beside `file`."""
    schema = {
        "type": "object",
        "required": ["file", *(name for name, each in fields.items() if each.pop("required", False))],
        "properties": {"file": {"type": "string", "format": "binary"}, **fields},
    }
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}
