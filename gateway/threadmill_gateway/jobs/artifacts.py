"""`/v1/jobs/{id}/artifacts/{name}`: the files that the model made."""

import asyncio
import logging
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Response

from threadmill_gateway.callers import Reader, record_of
from threadmill_gateway.jobs.stored_files import FILE_RESPONSES, find, missing, reply
from threadmill_gateway.problems import Problem, documented
from threadmill_gateway.state import Served

log = logging.getLogger(__name__)

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
    record = await record_of(gateway, caller, job_id)
    files = record.result.files if record.result else ()
    artifact = next((file for file in files if file.name == name and file.uri is not None), None)
    if artifact is None:
        raise missing(f"artifact {name!r:.200} of job {job_id}")
    try:
        file = await asyncio.to_thread(find, gateway.settings.artifacts, record.id, artifact.name)
    except FileNotFoundError:
        raise missing(f"artifact {name!r:.200} of job {job_id} in the store of artifacts") from None
    except Exception as error:  # libraries of stores raise their own errors
        log.warning("the store of artifacts cannot be read: %s", error)
        raise Problem(
            HTTPStatus.BAD_GATEWAY, "the store of artifacts cannot be read now", "try again; the gateway's log says why"
        ) from None
    return reply(file, artifact.name, artifact.media_type, range)
