"""`/v1/files`: files for jobs, the lines of batches, and what became of these lines."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from starlette.responses import JSONResponse, StreamingResponse

from threadmill.errors import UploadNotFound
from threadmill.job.upload import Upload
from threadmill.upload_files import UploadFiles
from threadmill_gateway.files.uploading import (
    add_upload,
    content_of,
    delete_upload,
    documented_form,
    form_of,
    upload_of,
)
from threadmill_gateway.openai.batches.output import output_content, output_file, output_size
from threadmill_gateway.openai.errors import ApiError, invalid, missing, not_found
from threadmill_gateway.openai.replies import documented, page
from threadmill_gateway.requests.callers import Enqueuer, Reader
from threadmill_gateway.requests.state import Gateway, Served

router = APIRouter(prefix="/v1/files", tags=["OpenAI"])

#: What files can be for.
PURPOSES = ("assistants", "batch", "user_data", "vision")

#: How long a file may be kept, in seconds, as OpenAI has it.
_LIFETIMES_S = range(3600, 30 * 86400 + 1)

_ANCHOR, _SECONDS = "expires_after[anchor]", "expires_after[seconds]"


@router.post(
    "",
    responses=documented(),
    openapi_extra=documented_form(
        purpose={"type": "string", "enum": list(PURPOSES), "required": True},
        **{
            _ANCHOR: {"type": "string", "enum": ["created_at"]},
            _SECONDS: {"type": "integer", "minimum": _LIFETIMES_S.start, "maximum": _LIFETIMES_S.stop - 1},
        },
    ),
)
async def create(request: Request, gateway: Served, caller: Enqueuer) -> Response:
    """Upload a file: for jobs, or with the lines of a batch."""
    async with form_of(request, ("purpose", _ANCHOR, _SECONDS)) as form:
        purpose = form.fields.get("purpose")
        if purpose is None:
            raise missing("purpose")
        if purpose not in PURPOSES:
            raise invalid("purpose", f"is {purpose!r:.100}; supported values are {', '.join(PURPOSES)}.")
        upload = await add_upload(gateway, caller, form, purpose=purpose, lifetime_s=_lifetime(form.fields))
    return JSONResponse(file_object(upload))


@router.get("", responses=documented(HTTPStatus.NOT_FOUND))
async def list_files(
    gateway: Served,
    caller: Reader,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    after: str | None = None,
    purpose: str | None = None,
    order: Literal["desc"] = "desc",
) -> Response:
    """List uploaded files, the newest first. The files that batches make are named by their batch."""
    with _translated(after or ""):
        found = await gateway.client.call(
            lambda client: client.store.uploads(caller.owner, limit + 1, after=after, purpose=purpose)
        )
    objects = [file_object(upload) for upload in found[:limit]]
    ends = {"first_id": objects[0]["id"], "last_id": objects[-1]["id"]} if objects else {}
    return JSONResponse(page(objects, **ends, has_more=len(found) > limit))


@router.get("/{file_id}", responses=documented(HTTPStatus.NOT_FOUND))
async def get(file_id: str, gateway: Served, caller: Reader) -> Response:
    """Read what is known of a file."""
    if (made := await output_file(gateway, caller, file_id)) is not None:
        return JSONResponse(
            _object(file_id, made.name, await output_size(gateway, made), made.created_at, "batch_output")
        )
    with _translated(file_id):
        return JSONResponse(file_object(await upload_of(gateway, caller, file_id)))


@router.get(
    "/{file_id}/content",
    responses={**documented(HTTPStatus.NOT_FOUND), 200: {"content": {"application/octet-stream": {}}}},
)
async def content(file_id: str, gateway: Served, caller: Reader) -> Response:
    """Read the content of a file. The files of a batch are made while they are read."""
    if (made := await output_file(gateway, caller, file_id)) is not None:
        return StreamingResponse(output_content(gateway, made), headers=_headers(made.name), media_type=_BINARY)
    with _translated(file_id):
        upload = await upload_of(gateway, caller, file_id)
        await asyncio.to_thread(UploadFiles(gateway.settings.artifacts).find, file_id)  # else the reply would break off
    headers = {**_headers(upload.name), "Content-Length": str(upload.size)}
    return StreamingResponse(content_of(gateway, upload), headers=headers, media_type=_BINARY)


@router.delete("/{file_id}", responses=documented(HTTPStatus.NOT_FOUND))
async def delete(file_id: str, gateway: Served, caller: Enqueuer) -> Response:
    """Delete a file. Jobs that use it can still read it."""
    with _translated(file_id):
        await upload_of(gateway, caller, file_id)
        await _check_unused(gateway, file_id)
        await delete_upload(gateway, caller, file_id)
    return JSONResponse({"id": file_id, "object": "file", "deleted": True})


def file_object(upload: Upload) -> dict[str, Any]:
    """Returns OpenAI's object for an upload."""
    expires_at = int(upload.expires_at.timestamp())
    return {
        **_object(upload.id, upload.name, upload.size, int(upload.created_at.timestamp()), upload.purpose),
        "expires_at": expires_at,
    }


def _object(file_id: str, name: str, size: int, created_at: int, purpose: str) -> dict[str, Any]:
    return {
        "id": file_id,
        "object": "file",
        "bytes": size,
        "created_at": created_at,
        "filename": name,
        "purpose": purpose,
        "status": "processed",
        "expires_at": None,
    }


#: A browser must not show what somebody uploaded as a page of this site.
_BINARY = "application/octet-stream"


def _headers(name: str) -> dict[str, str]:
    return {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "X-Content-Type-Options": "nosniff",
    }


def _lifetime(fields: dict[str, str]) -> int | None:
    """Returns after how many seconds a file expires; None: the usual time."""
    if fields.get(_ANCHOR, "created_at") != "created_at":
        raise invalid("expires_after.anchor", "must be created_at.")
    seconds = fields.get(_SECONDS)
    if seconds is None:
        return None
    # Python reads no number of more than 4,300 digits
    if not seconds.isdecimal() or len(seconds) > 20 or int(seconds) not in _LIFETIMES_S:
        raise invalid("expires_after.seconds", f"must be {_LIFETIMES_S.start} to {_LIFETIMES_S.stop - 1}.")
    return int(seconds)


@contextmanager
def _translated(file_id: str) -> Iterator[None]:
    try:
        yield
    except UploadNotFound:
        raise not_found("File", file_id) from None


async def _check_unused(gateway: Gateway, file_id: str) -> None:
    """Raises ApiError while the lines of a file become jobs."""
    for kept in await gateway.client.call(lambda client: client.store.enqueueing_file_batches()):
        if kept.made.upload_id == file_id:
            raise ApiError(
                400, f"The file is in use by the batch {kept.made.id}: cancel it, or wait.", code="file_in_use"
            )
