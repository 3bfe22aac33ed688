"""The files of results: what the model made, read from the store of artifacts."""

import asyncio
import logging
from http import HTTPStatus

from starlette.responses import Response

from threadmill_gateway.files.stored import find, missing, reply
from threadmill_gateway.requests.callers import Caller, record_of
from threadmill_gateway.requests.problems import Problem
from threadmill_gateway.requests.state import Gateway

log = logging.getLogger(__name__)


async def artifact_reply(
    gateway: Gateway, caller: Caller, job_id: str, name: str, range_header: str | None
) -> Response:
    """Returns a file of a job's result. Raises Problem, JobNotFound. `name`: of one of the result's `files`."""
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
    return reply(file, artifact.name, artifact.media_type, range_header)
