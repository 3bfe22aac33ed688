"""`/v1/job-files`: files that jobs use. OpenAI's `POST /v1/files` has the same store."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Self

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from threadmill.job.upload import Upload
from threadmill_gateway.files.uploading import add_upload, delete_upload, documented_form, form_of, upload_of
from threadmill_gateway.requests.callers import Enqueuer, Reader
from threadmill_gateway.requests.problems import documented
from threadmill_gateway.requests.state import Served

router = APIRouter(prefix="/v1/job-files", tags=["files"])


class FileView(BaseModel):
    """An uploaded file."""

    id: str  #: for `files` of a job, as `{"upload": ID}`, and for `images`, as `upload:ID`
    name: str
    size: int  #: bytes
    created_at: datetime
    expires_at: datetime
    keep: bool  #: it is kept until it expires, not only until the jobs that use it have ended

    @classmethod
    def of(cls, upload: Upload) -> Self:
        return cls(
            id=upload.id,
            name=upload.name,
            size=upload.size,
            created_at=upload.created_at,
            expires_at=upload.expires_at,
            keep=not upload.until_used,
        )


@router.post("", status_code=HTTPStatus.CREATED, openapi_extra=documented_form())
async def upload(
    request: Request,
    gateway: Served,
    caller: Enqueuer,
    keep: Annotated[
        bool, Query(description="Keep it until it expires; else until the jobs that use it have ended.")
    ] = False,
) -> FileView:
    """Upload a file for jobs, in the field `file` of a form."""
    async with form_of(request, ()) as form:
        return FileView.of(await add_upload(gateway, caller, form, purpose="user_data", until_used=not keep))


@router.get("/{file_id}", responses=documented(HTTPStatus.NOT_FOUND))
async def get(file_id: str, gateway: Served, caller: Reader) -> FileView:
    """Read what is known of a file."""
    return FileView.of(await upload_of(gateway, caller, file_id))


@router.delete("/{file_id}", status_code=HTTPStatus.NO_CONTENT, responses=documented(HTTPStatus.NOT_FOUND))
async def delete(file_id: str, gateway: Served, caller: Enqueuer) -> None:
    """Delete a file. Jobs that use it can still read it."""
    await delete_upload(gateway, caller, file_id)
