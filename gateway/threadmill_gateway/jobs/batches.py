"""`/v1/job-batches`: the batches of a caller. Jobs name their batch; the first one creates it."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Path, Query, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, PositiveInt

from threadmill.errors import ThreadmillError
from threadmill.job.callback import Callback
from threadmill_gateway.callers import Caller, Enqueuer, Reader
from threadmill_gateway.enqueueing import with_secret
from threadmill_gateway.jobs.views import BatchView
from threadmill_gateway.problems import documented, problem_of
from threadmill_gateway.state import Gateway, Served

#: How often a followed batch is read, in seconds.
_READ_EVERY_S = 1.0

router = APIRouter(prefix="/v1/job-batches", tags=["batches"])

Name = Annotated[str, Path(description="The name of a batch.")]
_NOT_FOUND = documented(HTTPStatus.NOT_FOUND)


class BatchList(BaseModel):
    data: list[BatchView]


class Changed(BaseModel):
    """How many jobs an operation has changed."""

    changed: int


class Concurrent(BaseModel):
    concurrent: PositiveInt | None  #: jobs of the batch that run at a time; null: any number


@router.get("")
async def list_(gateway: Served, caller: Reader, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> BatchList:
    """List the batches, those with the latest change first."""
    own = (record for record in await gateway.client.batches() if caller.owns_batch(record.name))
    return BatchList(data=[BatchView.of(record, caller) for record in islice(own, limit)])


@router.get("/{name}", responses=_NOT_FOUND)
async def get(name: Name, gateway: Served, caller: Reader) -> BatchView:
    """Read a batch: the numbers of its jobs, and what they have cost."""
    return await _read(gateway, caller, name)


@router.get("/{name}/events", response_class=EventSourceResponse, responses=_NOT_FOUND)
async def events(
    first: Annotated[BatchView, Depends(get)], gateway: Served, caller: Reader
) -> AsyncIterator[ServerSentEvent]:
    """Follow a batch until no job of it is open: the batch, each time that it has changed."""
    batch, shown = first, None
    try:
        while True:
            if batch != shown:
                yield ServerSentEvent(event="batch", data=batch)
                shown = batch
            if not batch.open:
                return
            await gateway.unless_stopping(asyncio.sleep(_READ_EVERY_S))
            if gateway.stopping.is_set():
                return
            batch = await _read(gateway, caller, batch.name)
    except ThreadmillError as error:  # the status of the reply was sent before
        yield ServerSentEvent(event="error", data=problem_of(error).body.model_dump(exclude_none=True))


@router.post("/{name}/pause", responses=_NOT_FOUND)
async def pause(name: Name, gateway: Served, caller: Enqueuer) -> BatchView:
    """Start no more jobs of the batch until it is resumed."""
    await gateway.client.pause(caller.stored_batch(name))
    return await _read(gateway, caller, name)


@router.post("/{name}/resume", responses=_NOT_FOUND)
async def resume(name: Name, gateway: Served, caller: Enqueuer) -> BatchView:
    """Start jobs of a paused batch again."""
    await gateway.client.resume(caller.stored_batch(name))
    return await _read(gateway, caller, name)


@router.post("/{name}/cancel", responses=_NOT_FOUND)
async def cancel(name: Name, gateway: Served, caller: Enqueuer) -> Changed:
    """Cancel all open jobs of the batch."""
    return Changed(changed=len(await gateway.client.cancel_batch(caller.stored_batch(name))))


@router.post("/{name}/redrive", responses=_NOT_FOUND)
async def redrive(name: Name, gateway: Served, caller: Enqueuer) -> Changed:
    """Enqueue the failed jobs of the batch again."""
    return Changed(changed=len(await gateway.client.redrive_batch(caller.stored_batch(name))))


@router.put("/{name}/limit", responses=_NOT_FOUND)
async def limit(name: Name, body: Concurrent, gateway: Served, caller: Enqueuer) -> BatchView:
    """Limit how many jobs of the batch run at a time."""
    await gateway.client.limit_batch(caller.stored_batch(name), body.concurrent)
    return await _read(gateway, caller, name)


@router.put("/{name}/callback", status_code=HTTPStatus.NO_CONTENT, responses=_NOT_FOUND)
async def set_callback(
    name: Name, callback: Annotated[Callback, Body()], gateway: Served, caller: Enqueuer
) -> Response:
    """Have a callback sent when no job of the batch is open; at once, if none is."""
    await gateway.client.set_batch_callback(caller.stored_batch(name), with_secret(caller, callback))
    return Response(status_code=HTTPStatus.NO_CONTENT)


async def _read(gateway: Gateway, caller: Caller, name: str) -> BatchView:
    return BatchView.of(await gateway.client.batch(caller.stored_batch(name)), caller)
