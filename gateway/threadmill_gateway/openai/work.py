"""What the routes of responses and of chat completions do with jobs: enqueue them, wait for them, follow them."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from http import HTTPStatus
from typing import Annotated

from fastapi import Header, Request

from threadmill.errors import InvalidJob, KeyConflict, SettingsError
from threadmill.job.prompt import PromptJob
from threadmill.store.records.job import JobRecord
from threadmill_gateway.openai.errors import refusal_of
from threadmill_gateway.openai.streams import EventStream
from threadmill_gateway.requests import enqueueing
from threadmill_gateway.requests.callers import Caller, record_of
from threadmill_gateway.requests.problems import RETRY_AFTER_S, Problem
from threadmill_gateway.requests.state import Gateway

IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=512, description="The same key always returns the response of the same job."),
]

CancelOnDisconnect = Annotated[
    bool,
    Header(
        alias="X-Threadmill-Cancel-On-Disconnect",
        description="`true`: the job is cancelled if the client hangs up before the answer is complete.",
    ),
]


class ClientGone(Exception):
    """The client has hung up; nobody reads a reply."""


async def enqueue(
    gateway: Gateway, caller: Caller, job: PromptJob, key: str | None, params: Mapping[str, str]
) -> JobRecord:
    """Enqueues a job and returns its record. Raises ApiError. `params`: OpenAI's names of the fields of a job."""
    if key is not None:
        job = job.model_copy(update={"key": key})
    try:
        handle = await enqueueing.enqueue(gateway, caller, job)
    except (InvalidJob, SettingsError, KeyConflict) as error:
        raise refusal_of(error, params) from None
    return await record_of(gateway, caller, handle.id)


async def ended(gateway: Gateway, caller: Caller, request: Request, job_id: str, *, cancels: bool) -> JobRecord:
    """Waits for the end of a job and returns its record. Raises ClientGone if the client hangs up before.

    `cancels`: the job is cancelled then. Raises Problem if the gateway stops before. Call it when the body of the
    request has been read.
    """
    waiting = asyncio.ensure_future(gateway.unless_stopping(gateway.client.wait(job_id)))
    hanging_up = asyncio.ensure_future(_hung_up(request))
    try:
        await asyncio.wait({waiting, hanging_up}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            if cancels:
                await gateway.client.cancel(job_id)
            raise ClientGone
        if waiting.result() is None:
            raise _stopping(job_id)
    finally:
        for task in (waiting, hanging_up):
            task.cancel()
        await asyncio.gather(waiting, hanging_up, return_exceptions=True)
    return await record_of(gateway, caller, job_id)


def _stopping(job_id: str) -> Problem:
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"the gateway stops before the job {job_id} has ended; the job continues",
        "send the request again with the same Idempotency-Key; without one, it is another job",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def followed(gateway: Gateway, job_id: str, frames: AsyncGenerator[str, None], *, cancels: bool) -> EventStream:
    """Returns the reply that sends the events of a job. `cancels`: the job is cancelled if the client hangs up."""

    async def cancel() -> None:
        await gateway.client.cancel(job_id)

    return EventStream(frames, gateway.options.heartbeat_s, cancel if cancels else None)
