"""`/v1/jobs`: enqueue a job, read it, wait for it."""

from contextlib import suppress
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from threadmill.errors import WaitTimeout
from threadmill.job.prompt import PromptJob
from threadmill.job.result import TERMINAL
from threadmill.store.records import JobRecord
from threadmill_gateway.callers import Enqueuer, Reader, record_of
from threadmill_gateway.jobs.views import JobView
from threadmill_gateway.problems import Problem, documented
from threadmill_gateway.state import Gateway, Served

#: The longest `wait`, in seconds: proxies close connections on which nothing happens for a minute.
LONGEST_WAIT_S = 60

#: When to ask again for a job that has not ended, in seconds.
_ASK_AGAIN_S = 1

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=512, description="The same key always names the same job (its field `key`)."),
]


@router.post(
    "",
    status_code=HTTPStatus.ACCEPTED,
    responses={200: {"description": "The job of this key, enqueued earlier", "model": JobView}},
)
async def enqueue(
    job: PromptJob, gateway: Served, caller: Enqueuer, response: Response, idempotency_key: IdempotencyKey = None
) -> JobView:
    """Enqueue a job. Returns it at once; `GET /v1/jobs/{id}?wait=30` waits for its result."""
    handle = await gateway.client.enqueue(_with_key(job, idempotency_key))
    response.headers["Location"] = f"{gateway.options.root_path}/v1/jobs/{handle.id}"
    if not handle.is_new:
        response.status_code = HTTPStatus.OK
        response.headers["Idempotency-Replayed"] = "true"
    return JobView.of(await record_of(gateway, caller, handle.id))


@router.get("/{job_id}", responses=documented(HTTPStatus.NOT_FOUND))
async def get(
    job_id: str,
    gateway: Served,
    caller: Reader,
    response: Response,
    wait: Annotated[
        int,
        Query(
            ge=0, le=LONGEST_WAIT_S, description="Answer when the job has ended, after so many seconds at the latest."
        ),
    ] = 0,
) -> JobView:
    """Read a job. Its `result` is there when it has ended; until then, `Retry-After` says when to ask again."""
    record = await record_of(gateway, caller, job_id)
    if wait and record.state not in TERMINAL:
        record = await _after(gateway, record, wait)
    if record.state not in TERMINAL:
        response.headers["Retry-After"] = str(_ASK_AGAIN_S)
    return JobView.of(record)


async def _after(gateway: Gateway, record: JobRecord, wait_s: float) -> JobRecord:
    """Returns the record when the job has ended, or after so many seconds."""
    with suppress(WaitTimeout):
        await gateway.client.wait(record.id, wait_s)
    return await gateway.client.get(record.id)


def _with_key(job: PromptJob, key: str | None) -> PromptJob:
    if key is None:
        return job
    if job.key not in (None, key):
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "the header Idempotency-Key and the field `key` differ",
            "send one of them",
        )
    return job.model_copy(update={"key": key})
