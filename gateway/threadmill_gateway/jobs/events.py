"""`/v1/jobs/{id}/events`: what happens to a job, as server-sent events."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent

from threadmill.errors import ThreadmillError
from threadmill.job.event_reader import EventReader
from threadmill.job.events import Event
from threadmill_gateway.callers import Reader, record_of
from threadmill_gateway.jobs.jobs import JobId
from threadmill_gateway.problems import documented, problem_of
from threadmill_gateway.state import Gateway, Served

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

LastEventId = Annotated[
    str | None, Header(alias="Last-Event-ID", max_length=100, description="Continue after this event.")
]


async def _readable(job_id: JobId, gateway: Served, caller: Reader) -> str:
    """Returns the id of a job whose events the caller may read. The reply begins before the first event is read."""
    return (await record_of(gateway, caller, job_id)).id


async def _position(last_event_id: LastEventId = None) -> str | None:
    """Raises InvalidEntryId before the reply begins."""
    EventReader(last_event_id)
    return last_event_id


@router.get(
    "/{job_id}/events",
    response_class=EventSourceResponse,
    responses=documented(HTTPStatus.NOT_FOUND),
)
async def events(
    job: Annotated[str, Depends(_readable)],
    gateway: Served,
    after: Annotated[str | None, Depends(_position)],
) -> AsyncIterator[ServerSentEvent]:
    """Follow a job until it has ended: its states, runs, tool calls and, if the job has `stream`, its text.

    The type of an event is its kind. A reader that was disconnected continues with `Last-Event-ID`, as browsers do.
    """
    try:
        async with aclosing(_until_stopped(gateway, job, after)) as following:
            async for event in following:
                yield ServerSentEvent(id=event.entry_id, event=event.kind, data=event.model_dump(exclude_none=True))
    except ThreadmillError as error:  # the status of the reply was sent before
        problem = problem_of(error)
        yield ServerSentEvent(event="error", data=problem.body.model_dump(exclude_none=True))


async def _until_stopped(gateway: Gateway, job_id: str, after: str | None) -> AsyncGenerator[Event, None]:
    """Yields the events of a job, until it has ended or the gateway stops."""
    stopping = asyncio.ensure_future(gateway.stopping.wait())
    async with aclosing(gateway.client.follow(job_id, after=after)) as following:
        reading: asyncio.Future[Event | None] | None = None
        try:
            while True:
                reading = asyncio.ensure_future(anext(following, None))
                await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if not reading.done() or (event := reading.result()) is None:
                    return
                yield event
        finally:
            unfinished = [task for task in (reading, stopping) if task is not None]
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)
