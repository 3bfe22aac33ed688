"""`/v1/chat/completions`: one job, and its answer as a completion."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response
from starlette.responses import JSONResponse

from threadmill.job.result import JobResult
from threadmill.store.records.job import JobRecord
from threadmill_gateway.openai.chat.object import Chunks, completion_object
from threadmill_gateway.openai.chat.request import PARAMS, read_request
from threadmill_gateway.openai.model_names import name_of
from threadmill_gateway.openai.replies import documented
from threadmill_gateway.openai.streams import DONE, frame
from threadmill_gateway.openai.work import CancelOnDisconnect, IdempotencyKey, ended, enqueue, followed
from threadmill_gateway.requests.callers import Caller, Enqueuer, record_of
from threadmill_gateway.requests.state import Gateway, Served

router = APIRouter(prefix="/v1/chat/completions", tags=["OpenAI"])

#: The errors of a job that failed.
_FAILURES = (
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.GATEWAY_TIMEOUT,
)


@router.post("", responses=documented(*_FAILURES))
async def create(
    request: Request,
    gateway: Served,
    caller: Enqueuer,
    body: Annotated[Any, Body()],
    idempotency_key: IdempotencyKey = None,
    cancels: CancelOnDisconnect = False,
) -> Response:
    """Create a completion: wait for the answer, or follow it (`stream`)."""
    asked = read_request(body, gateway.settings)
    record = await enqueue(gateway, caller, asked.job, idempotency_key, PARAMS)
    model = name_of(record.job, gateway.settings)
    if asked.stream:
        chunks = Chunks(record, model, include_usage=asked.include_usage)
        return followed(gateway, record.id, _frames(gateway, caller, record, chunks), cancels=cancels)
    record = await ended(gateway, caller, request, record.id, cancels=cancels)
    return JSONResponse(completion_object(record, _result(record), model))


async def _frames(gateway: Gateway, caller: Caller, record: JobRecord, chunks: Chunks) -> AsyncGenerator[str, None]:
    for chunk in chunks.begin():
        yield frame(chunk)
    async with aclosing(gateway.client.follow(record.id)) as following:
        async for event in following:
            for chunk in chunks.take(event):
                yield frame(chunk)
    record = await record_of(gateway, caller, record.id)
    for chunk in chunks.end(record, _result(record)):
        yield frame(chunk)
    yield DONE


def _result(record: JobRecord) -> JobResult:
    assert record.result is not None, "a job that has ended has a result"
    return record.result
