"""`/v1/jobs`: enqueue a job, read it, wait for it, cancel it; list jobs."""

import asyncio
from contextlib import suppress
from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response

from threadmill.errors import WaitTimeout
from threadmill.job.prompt import PromptJob
from threadmill.job.result import TERMINAL, FailureKind, JobState
from threadmill.store.records import JobRecord
from threadmill_gateway.callers import Enqueuer, Reader, enqueued, record_of
from threadmill_gateway.jobs.views import JobPageView, JobView
from threadmill_gateway.problems import Problem, documented
from threadmill_gateway.state import Gateway, Served

#: The longest `wait`, in seconds: proxies close connections on which nothing happens for a minute.
LONGEST_WAIT_S = 60

#: When to ask again for a job that has not ended, in seconds.
_ASK_AGAIN_S = 1

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

JobId = Annotated[str, Path(description="The id of a job.")]

IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=400, description="The same key always names the same job (its field `key`)."),
]

Wait = Annotated[
    int, Query(ge=0, le=LONGEST_WAIT_S, description="Answer when the job has ended, after so many seconds at most.")
]


@router.post(
    "",
    status_code=HTTPStatus.ACCEPTED,
    responses={200: {"description": "The job of this key, which was enqueued earlier", "model": JobView}},
)
async def enqueue(
    job: PromptJob, gateway: Served, caller: Enqueuer, response: Response, idempotency_key: IdempotencyKey = None
) -> JobView:
    """Enqueue a job. Returns it at once; `GET /v1/jobs/{id}?wait=30` waits for its result."""
    record, is_new = await enqueued(gateway, caller, _with_key(job, idempotency_key))
    response.headers["Location"] = f"{gateway.options.root_path}/v1/jobs/{record.id}"
    if not is_new:
        response.status_code = HTTPStatus.OK
        response.headers["Idempotency-Replayed"] = "true"
    return JobView.of(record, caller)


@router.get("", responses=documented(HTTPStatus.NOT_FOUND))
async def list_(
    gateway: Served,
    caller: Reader,
    state: JobState | None = None,
    batch: str | None = None,
    endpoint: str | None = None,
    failure: FailureKind | None = None,
    since: Annotated[datetime | None, Query(description="With a time zone.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=1000, description="`next_cursor` of the page before.")] = None,
) -> JobPageView:
    """List jobs, the newest first, in pages."""
    if since is not None and since.tzinfo is None:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "`since` has no time zone", "add one, such as Z for UTC")
    page = await gateway.client.job_page(
        state=state,
        batch=caller.batch(batch) if batch else None,
        endpoint=endpoint,
        failure=failure,
        since=since,
        tenant=caller.tenant,
        limit=limit,
        cursor=cursor,
    )
    return JobPageView(data=[JobView.of(each, caller) for each in page.jobs], next_cursor=page.next_cursor)


@router.get("/{job_id}", responses=documented(HTTPStatus.NOT_FOUND))
async def get(job_id: JobId, gateway: Served, caller: Reader, response: Response, wait: Wait = 0) -> JobView:
    """Read a job. Its `result` is there when it has ended; until then, `Retry-After` says when to ask again."""
    record = await record_of(gateway, caller, job_id)
    if wait and record.state not in TERMINAL:
        record = await _after(gateway, record, wait)
    if record.state not in TERMINAL:
        response.headers["Retry-After"] = str(_ASK_AGAIN_S)
    return JobView.of(record, caller)


@router.post("/{job_id}/cancel", responses=documented(HTTPStatus.NOT_FOUND))
async def cancel(job_id: JobId, gateway: Served, caller: Enqueuer) -> JobView:
    """Cancel a job. One that runs ends as soon as its server has cancelled the run. Harmless for one that has ended."""
    await record_of(gateway, caller, job_id)
    await gateway.client.cancel(job_id)
    return JobView.of(await record_of(gateway, caller, job_id), caller)


@router.post("/{job_id}/redrive", responses=documented(HTTPStatus.NOT_FOUND))
async def redrive(job_id: JobId, gateway: Served, caller: Enqueuer) -> JobView:
    """Enqueue a failed or cancelled job again. Harmless for any other."""
    await record_of(gateway, caller, job_id)
    await gateway.client.redrive(job_id)
    return JobView.of(await record_of(gateway, caller, job_id), caller)


async def _after(gateway: Gateway, record: JobRecord, wait_s: float) -> JobRecord:
    """Returns the record when the job has ended, after so many seconds, or when the gateway stops."""
    waiting = asyncio.ensure_future(gateway.client.wait(record.id, wait_s))
    stopping = asyncio.ensure_future(gateway.stopping.wait())
    try:
        await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            with suppress(WaitTimeout):
                waiting.result()
    finally:
        for task in (waiting, stopping):
            task.cancel()
        await asyncio.gather(waiting, stopping, return_exceptions=True)
    return await gateway.client.get(record.id)


def _with_key(job: PromptJob, key: str | None) -> PromptJob:
    if key is None:
        return job
    if job.key not in (None, key):
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "the header Idempotency-Key and the field `key` differ", "send one of them"
        )
    return job.model_copy(update={"key": key})
