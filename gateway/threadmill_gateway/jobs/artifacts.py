"""`/v1/jobs/{id}/artifacts/{name}`: the files that the model made."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Response

from threadmill_gateway.files.artifacts import artifact_reply
from threadmill_gateway.files.stored import FILE_RESPONSES
from threadmill_gateway.requests.callers import Reader
from threadmill_gateway.requests.problems import documented
from threadmill_gateway.requests.state import Served

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


@router.get(
    "/{job_id}/artifacts/{name}",
    response_class=Response,
    responses={
        **FILE_RESPONSES,
        **documented(HTTPStatus.NOT_FOUND, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, HTTPStatus.BAD_GATEWAY),
    },
)
async def get(
    job_id: str, name: str, gateway: Served, caller: Reader, range: Annotated[str | None, Header()] = None
) -> Response:
    """Read a file of a job's result: `name` of one of its `files`."""
    return await artifact_reply(gateway, caller, job_id, name, range)
