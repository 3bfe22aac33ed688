"""`/v1/jobs/{id}/artifacts`: the files that the model made."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import fsspec
from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from threadmill.job.result import Artifact
from threadmill_gateway.callers import Reader, record_of
from threadmill_gateway.jobs.ranges import Range, range_of
from threadmill_gateway.problems import Problem, documented
from threadmill_gateway.state import Served

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

#: Types that a browser may show in place. Of any other it could run scripts on the gateway's origin.
_INLINE = frozenset(
    {"image/png", "image/jpeg", "image/gif", "image/webp", "text/plain", "text/csv", "application/json"}
)

#: Bytes that are read from the artifact store at a time.
_CHUNK = 256 * 1024


@router.get(
    "/{job_id}/artifacts/{name}",
    response_class=Response,
    responses={
        **documented(HTTPStatus.NOT_FOUND, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE),
        200: {"description": "The file", "content": {"application/octet-stream": {}}},
        206: {"description": "The part that `Range` asks for", "content": {"application/octet-stream": {}}},
    },
)
async def artifact(job_id: str, name: str, request: Request, gateway: Served, caller: Reader) -> Response:
    """Read a file that the model made. `files` of the job's result lists them; `Range` reads a part."""
    record = await record_of(gateway, caller, job_id)
    files = record.result.files if record.result else ()
    found = next((file for file in files if file.name == name and file.uri is not None), None)
    if found is None:
        raise Problem(
            HTTPStatus.NOT_FOUND, f"job {record.id} has no artifact {name!r:.200}", "see `files` of its result"
        )
    asked = range_of(request.headers.get("range"), found.size)
    try:
        file = await asyncio.to_thread(_open, found, asked)
    except (OSError, ValueError, ImportError):
        raise Problem(
            HTTPStatus.NOT_FOUND,
            f"the artifact {name!r:.200} is not in the artifact store that this gateway sees",
            "check that gateway and workers have the same setting `artifacts`",
        ) from None
    return StreamingResponse(
        _chunks(file, asked.length),
        HTTPStatus.PARTIAL_CONTENT if asked.is_part else HTTPStatus.OK,
        _headers(found, asked),
    )


def _open(artifact: Artifact, asked: Range) -> Any:
    file = fsspec.open(str(artifact.uri), "rb").open()
    file.seek(asked.first)
    return file


async def _chunks(file: Any, length: int) -> AsyncIterator[bytes]:
    try:
        while length > 0 and (chunk := await asyncio.to_thread(file.read, min(_CHUNK, length))):
            length -= len(chunk)
            yield chunk
    finally:
        await asyncio.to_thread(file.close)


def _headers(artifact: Artifact, asked: Range) -> dict[str, str]:
    kind = artifact.media_type.partition(";")[0].strip().lower()
    shown = "inline" if kind in _INLINE else "attachment"
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Disposition": f"{shown}; filename*=UTF-8''{quote(artifact.name, safe='')}",
        "Content-Length": str(asked.length),
        "Content-Security-Policy": "sandbox",
        "Content-Type": kind if kind in _INLINE else "application/octet-stream",
        "X-Content-Type-Options": "nosniff",
    }
    if asked.is_part:
        headers["Content-Range"] = f"bytes {asked.first}-{asked.first + asked.length - 1}/{artifact.size}"
    if artifact.sha256:
        headers["ETag"] = f'"{artifact.sha256}"'
    return headers
