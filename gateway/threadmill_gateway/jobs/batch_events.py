"""`/v1/job-batches/{name}/events`: which jobs of a batch have ended, as it happens."""

import asyncio
import logging
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent

from threadmill.errors import ThreadmillError
from threadmill.names import Name
from threadmill_gateway.jobs.batches import view
from threadmill_gateway.jobs.views import BatchView
from threadmill_gateway.requests.callers import Caller, Reader
from threadmill_gateway.requests.problems import documented
from threadmill_gateway.requests.state import Gateway, Served

log = logging.getLogger(__name__)

#: How often a stream looks for jobs that have ended, in seconds.
LOOK_S = 1.0

_START = "0-0"

router = APIRouter(prefix="/v1/job-batches", tags=["batches"])

LastEventId = Annotated[str | None, Header(max_length=100, description="Continue after the event with this `id`.")]


async def _followed(name: Name, gateway: Served, caller: Reader, last_event_id: LastEventId = None) -> str:
    """Returns the name of a batch that can be followed. A stream that has begun cannot say that there is none."""
    await view(gateway, caller, name)
    await gateway.client.ended_jobs(caller.stored_batch(name), after=last_event_id or _START)
    return name


@router.get("/{name}/events", response_class=EventSourceResponse, responses=documented(HTTPStatus.NOT_FOUND))
async def events(
    followed: Annotated[str, Depends(_followed)], gateway: Served, caller: Reader, last_event_id: LastEventId = None
) -> AsyncIterator[ServerSentEvent]:
    """Follow a batch by server-sent events until none of its jobs is open.

    `job`: a job has ended, with `job_id` and `state`. `batch`: the batch, after its numbers have changed.
    """
    try:
        async for event in _events(gateway, caller, followed, last_event_id or _START):
            yield event
    except ThreadmillError as error:  # the status has been sent: the reader connects again
        log.warning("the events of batch %s broke off: %s", caller.stored_batch(followed), error)


async def _events(gateway: Gateway, caller: Caller, name: str, cursor: str) -> AsyncIterator[ServerSentEvent]:
    shown: BatchView | None = None
    while True:
        batch = await view(gateway, caller, name)  # before the jobs: if none is open, all of them are read now
        ended = await gateway.client.ended_jobs(caller.stored_batch(name), after=cursor)
        for job in ended:
            cursor = job.cursor
            yield ServerSentEvent(data={"job_id": job.job_id, "state": job.state}, event="job", id=cursor)
        if batch != shown:
            shown = batch
            yield ServerSentEvent(data=batch, event="batch")
        if not ended:
            if not batch.open:
                return
            await gateway.unless_stopping(asyncio.sleep(LOOK_S))
            if gateway.stopping.is_set():
                return
