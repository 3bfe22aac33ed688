"""`/v1/job-batches`: the batches of a caller's jobs. A batch begins with its first job."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from fastapi import APIRouter
from pydantic import BaseModel, Field, PositiveInt

from threadmill.job.callback import Callback
from threadmill.names import Name
from threadmill_gateway.jobs.views import BatchList, BatchView
from threadmill_gateway.requests.callers import Caller, Enqueuer, Reader
from threadmill_gateway.requests.enqueueing import with_secret
from threadmill_gateway.requests.problems import documented
from threadmill_gateway.requests.state import Gateway, Served

router = APIRouter(prefix="/v1/job-batches", tags=["batches"])

_NOT_FOUND = documented(HTTPStatus.NOT_FOUND)


class Limit(BaseModel):
    concurrent: PositiveInt | None = Field(description="The most jobs of the batch that run at a time; null: no limit.")


@router.get("")
async def list_batches(gateway: Served, caller: Reader) -> BatchList:
    """List the batches that are kept, the latest change first."""
    batches = await gateway.client.batches()
    return BatchList(data=[BatchView.of(batch, caller) for batch in batches if caller.owns_batch(batch.name)])


@router.get("/{name}", responses=_NOT_FOUND)
async def get(name: Name, gateway: Served, caller: Reader) -> BatchView:
    """Read a batch: the number of its jobs in each state, and what they have spent."""
    return await view(gateway, caller, name)


@router.post("/{name}/cancel", responses=_NOT_FOUND)
async def cancel(name: Name, gateway: Served, caller: Enqueuer) -> BatchView:
    """Cancel the jobs of the batch that have not ended."""
    return await _changed(gateway, caller, name, gateway.client.cancel_batch)


@router.post("/{name}/pause", responses=_NOT_FOUND)
async def pause(name: Name, gateway: Served, caller: Enqueuer) -> BatchView:
    """Stop workers from starting jobs of the batch. Running jobs finish."""
    return await _changed(gateway, caller, name, gateway.client.pause)


@router.post("/{name}/resume", responses=_NOT_FOUND)
async def resume(name: Name, gateway: Served, caller: Enqueuer) -> BatchView:
    """Let workers start jobs of a paused batch again."""
    return await _changed(gateway, caller, name, gateway.client.resume)


@router.post("/{name}/redrive", responses=_NOT_FOUND)
async def redrive(name: Name, gateway: Served, caller: Enqueuer) -> BatchView:
    """Enqueue the failed jobs of the batch again."""
    return await _changed(gateway, caller, name, gateway.client.redrive_batch)


@router.post("/{name}/limit", responses=_NOT_FOUND)
async def limit(name: Name, body: Limit, gateway: Served, caller: Enqueuer) -> BatchView:
    """Limit how many jobs of the batch run at a time."""
    return await _changed(gateway, caller, name, lambda batch: gateway.client.limit_batch(batch, body.concurrent))


@router.post("/{name}/callback", responses=_NOT_FOUND)
async def set_callback(name: Name, callback: Callback, gateway: Served, caller: Enqueuer) -> BatchView:
    """Have a callback sent once, when no job of the batch is open. Enqueue its jobs first."""
    receiver = with_secret(caller, callback)
    return await _changed(gateway, caller, name, lambda batch: gateway.client.set_batch_callback(batch, receiver))


async def view(gateway: Gateway, caller: Caller, name: str) -> BatchView:
    """Returns a batch of the caller. Raises BatchNotFound."""
    return BatchView.of(await gateway.client.batch(caller.stored_batch(name)), caller)


async def _changed(
    gateway: Gateway, caller: Caller, name: str, change: Callable[[str], Awaitable[object]]
) -> BatchView:
    """Changes a batch of the caller, and returns it."""
    await change(caller.stored_batch(name))
    return await view(gateway, caller, name)
