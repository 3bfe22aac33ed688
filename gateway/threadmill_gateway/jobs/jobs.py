"""`/v1/jobs`: enqueue a job, read it, wait for it, list, cancel and redrive jobs."""

from contextlib import suppress
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response
from pydantic import AwareDatetime, BeforeValidator

from threadmill.errors import WaitTimeout
from threadmill.job.prompt import PromptJob
from threadmill.job.result import TERMINAL, JobState
from threadmill.names import Name
from threadmill.store.records.job import JobRecord
from threadmill_gateway.jobs.views import JobList, JobView
from threadmill_gateway.requests import enqueueing
from threadmill_gateway.requests.callers import Caller, Enqueuer, Reader, record_of
from threadmill_gateway.requests.problems import Problem, documented
from threadmill_gateway.requests.state import Gateway, Served

#: The longest `wait`, in seconds: proxies close connections on which nothing happens for a minute.
LONGEST_WAIT_S = 60

#: When to ask again for a job that has not ended, in seconds.
_ASK_AGAIN_S = 1

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


def _no_number(value: object) -> object:
    """pydantic also reads seconds since 1970, which OpenAPI does not tell."""
    if isinstance(value, str) and value.strip("+-.0123456789") == "" and value.count("-") < 2:
        raise ValueError("is no time as RFC 3339 has it, such as 2026-07-01T06:00:00Z")
    return value


#: A time with its zone.
Moment = Annotated[AwareDatetime, BeforeValidator(_no_number)]

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
    handle = await enqueueing.enqueue(gateway, caller, _with_key(job, idempotency_key))
    response.headers["Location"] = f"{gateway.options.root_path}/v1/jobs/{handle.id}"
    if not handle.is_new:
        response.status_code = HTTPStatus.OK
        response.headers["Idempotency-Replayed"] = "true"
    return _view(gateway, caller, await record_of(gateway, caller, handle.id))


@router.get("", responses=documented(HTTPStatus.NOT_FOUND))
async def list_jobs(
    gateway: Served,
    caller: Reader,
    state: JobState | None = None,
    batch: Name | None = None,
    endpoint: str | None = None,
    tenant: Annotated[Name | None, Query(description="Only for operators: others see their own jobs.")] = None,
    since: Annotated[Moment | None, Query(description="Created (or, in a list of all jobs, changed) since.")] = None,
    until: Annotated[Moment | None, Query(description="And before this time.")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before.")] = None,
) -> JobList:
    """List jobs, the latest first. A page may have fewer than `limit` although `next_cursor` says that more follow."""
    if not caller.operates and tenant not in (None, caller.name):
        raise Problem(HTTPStatus.FORBIDDEN, f"the API key {caller.name} sees only its own jobs", "leave `tenant` out")
    page = await gateway.client.job_page(
        state=state,
        batch=None if batch is None else caller.stored_batch(batch),
        endpoint=endpoint,
        tenant=tenant if caller.operates else caller.name,
        since=since,
        until=until,
        limit=limit,
        cursor=cursor,
    )
    return JobList(data=[_view(gateway, caller, record) for record in page.jobs], next_cursor=page.next_cursor)


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
    waits_for: Annotated[bool, Query(description="Say what a queued job waits for, which takes more time.")] = False,
) -> JobView:
    """Read a job. Its `result` is there when it has ended; until then, `Retry-After` says when to ask again."""
    record = await record_of(gateway, caller, job_id)
    if wait and record.state not in TERMINAL:
        record = await _after(gateway, record, wait)
    if record.state not in TERMINAL:
        response.headers["Retry-After"] = str(_ASK_AGAIN_S)
    reason = await gateway.client.waits_for(job_id) if waits_for and record.state is JobState.QUEUED else None
    return _view(gateway, caller, record, reason)


@router.post("/{job_id}/cancel", responses=documented(HTTPStatus.NOT_FOUND))
async def cancel(job_id: str, gateway: Served, caller: Enqueuer) -> JobView:
    """Cancel a job. A running one ends after its worker has stopped the remote run; one that has ended stays so."""
    await record_of(gateway, caller, job_id)
    await gateway.client.cancel(job_id)
    return _view(gateway, caller, await record_of(gateway, caller, job_id))


@router.post("/{job_id}/redrive", responses=documented(HTTPStatus.NOT_FOUND))
async def redrive(job_id: str, gateway: Served, caller: Enqueuer) -> JobView:
    """Enqueue a failed or cancelled job again. Any other job stays as it is."""
    await record_of(gateway, caller, job_id)
    await gateway.client.redrive(job_id)
    return _view(gateway, caller, await record_of(gateway, caller, job_id))


def _view(gateway: Gateway, caller: Caller, record: JobRecord, waits_for: str | None = None) -> JobView:
    return JobView.of(record, caller, gateway.options.root_path, waits_for)


async def _after(gateway: Gateway, record: JobRecord, wait_s: float) -> JobRecord:
    """Returns the record when the job has ended, after so many seconds, or when the gateway stops."""
    with suppress(WaitTimeout):
        await gateway.unless_stopping(gateway.client.wait(record.id, wait_s))
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
