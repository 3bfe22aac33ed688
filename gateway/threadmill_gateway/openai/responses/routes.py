"""`/v1/responses`: a response is a job. It is created, read, followed, cancelled and deleted by its id."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query, Request, Response
from starlette.responses import JSONResponse

from threadmill.errors import JobNotEnded, JobNotFound, ThreadInUse, ThreadNotFound, WaitTimeout
from threadmill.job.result import TERMINAL
from threadmill.store.records.job import JobRecord
from threadmill_gateway.openai.errors import ApiError, invalid, not_found
from threadmill_gateway.openai.identifiers import RESPONSE, job_of
from threadmill_gateway.openai.model_names import name_of
from threadmill_gateway.openai.replies import cut, documented, page
from threadmill_gateway.openai.responses.continuing import continued
from threadmill_gateway.openai.responses.events import ResponseEvents, StreamEvent
from threadmill_gateway.openai.responses.input_items import input_items
from threadmill_gateway.openai.responses.object import Shown, deleted_object, response_object
from threadmill_gateway.openai.responses.request import PARAMS, read_request
from threadmill_gateway.openai.streams import frame
from threadmill_gateway.openai.work import CancelOnDisconnect, IdempotencyKey, ended, enqueue, followed
from threadmill_gateway.requests.callers import Caller, Enqueuer, Reader, record_of
from threadmill_gateway.requests.state import Gateway, Served

#: How long a cancellation waits for the end of the job, in seconds.
_CANCEL_S = 10

router = APIRouter(prefix="/v1/responses", tags=["OpenAI"])


@router.post("", responses=documented(HTTPStatus.NOT_FOUND))
async def create(
    request: Request,
    gateway: Served,
    caller: Enqueuer,
    body: Annotated[Any, Body()],
    idempotency_key: IdempotencyKey = None,
    cancels: CancelOnDisconnect = False,
) -> Response:
    """Create a response: wait for it, follow it (`stream`), or leave it to work (`background`)."""
    asked = read_request(body, gateway.settings)
    job = await continued(gateway, caller, asked.job, asked.previous_response_id, idempotency_key)
    record = await enqueue(gateway, caller, job, idempotency_key, PARAMS)
    shown = _shown(gateway, record, asked.previous_response_id)
    if asked.stream:
        return followed(gateway, record.id, _frames(gateway, caller, shown, None), cancels=cancels)
    if not asked.background:
        record = await ended(gateway, caller, request, record.id, cancels=cancels)
    return JSONResponse(response_object(_shown(gateway, record, asked.previous_response_id)))


@router.get("/{response_id}", responses=documented(HTTPStatus.NOT_FOUND))
async def get(
    response_id: str,
    gateway: Served,
    caller: Reader,
    stream: bool = False,
    starting_after: Annotated[int | None, Query(ge=0, description="The `sequence_number` of the last event.")] = None,
    include: Annotated[list[str] | None, Query(alias="include[]")] = None,
    include_obfuscation: bool = False,
) -> Response:
    """Read a response, or follow it (`stream`): from its beginning, or after an event of its stream."""
    if include:
        raise invalid("include", "nothing can be included here.")
    shown = _shown(gateway, await _record(gateway, caller, response_id))
    if stream:
        frames = _frames(gateway, caller, shown, starting_after)
        return followed(gateway, shown.record.id, frames, cancels=False)
    if starting_after is not None:
        raise invalid("starting_after", "is the position in a stream: add stream=true.")
    return JSONResponse(response_object(shown))


@router.post("/{response_id}/cancel", responses=documented(HTTPStatus.NOT_FOUND))
async def cancel(response_id: str, gateway: Served, caller: Enqueuer) -> Response:
    """Cancel a response, and wait a few seconds for its end. One that has ended stays as it is."""
    record = await _record(gateway, caller, response_id)
    if record.state not in TERMINAL:
        await gateway.client.cancel(record.id)
        with suppress(WaitTimeout):
            await gateway.client.wait(record.id, _CANCEL_S)
        record = await _record(gateway, caller, response_id)
    return JSONResponse(response_object(_shown(gateway, record)))


@router.delete("/{response_id}", responses=documented(HTTPStatus.NOT_FOUND))
async def delete(response_id: str, gateway: Served, caller: Enqueuer) -> Response:
    """Delete a response that has ended; with the last response of a thread, the thread."""
    record = await _record(gateway, caller, response_id)
    if record.result is not None and record.result.thread_id is not None:
        await _delete_thread(gateway, record.result.thread_id, record)
    try:
        await gateway.client.delete(record.id)
    except JobNotEnded as error:
        raise ApiError(400, str(error), code="invalid_value") from None  # SDKs repeat a request that gets 409
    return JSONResponse(deleted_object(response_id))


@router.get("/{response_id}/input_items", responses=documented(HTTPStatus.NOT_FOUND))
async def list_input_items(
    response_id: str,
    gateway: Served,
    caller: Reader,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
    after: str | None = None,
) -> Response:
    """List the messages of the request. The messages of the system and of the developer are instructions of the job."""
    record = await _record(gateway, caller, response_id)
    shown, ends = cut(input_items(record), limit, order, after)
    return JSONResponse(page(shown, **ends))


async def _delete_thread(gateway: Gateway, thread: str, record: JobRecord) -> None:
    """Deletes the thread of a response if no other one came after it."""
    with suppress(ThreadNotFound, ThreadInUse):
        if (await gateway.client.jobs_on_thread(thread, record.endpoint or ""))[-1] == record.id:
            await gateway.client.delete_thread(thread, record.endpoint)


async def _record(gateway: Gateway, caller: Caller, response_id: str) -> JobRecord:
    """Raises ApiError if there is no such response, or if it belongs to another caller."""
    job_id = job_of(RESPONSE, response_id)
    if job_id is not None:
        with suppress(JobNotFound):
            return await record_of(gateway, caller, job_id)
    raise not_found("Response", response_id)


def _shown(gateway: Gateway, record: JobRecord, previous: str | None = None) -> Shown:
    return Shown(record, name_of(record.job, gateway.settings), previous)


async def _frames(
    gateway: Gateway, caller: Caller, shown: Shown, starting_after: int | None
) -> AsyncGenerator[str, None]:
    stream = ResponseEvents(shown, starting_after)
    for sent in stream.begin():
        yield _frame(sent)
    async with aclosing(gateway.client.follow(shown.record.id)) as following:
        async for event in following:
            for sent in stream.take(event):
                yield _frame(sent)
    record = await record_of(gateway, caller, shown.record.id)
    for sent in stream.end(_shown(gateway, record, shown.previous_response_id)):
        yield _frame(sent)


def _frame(sent: StreamEvent) -> str:
    return frame(sent, sent["type"])
