"""`/v1/batches`: the lines of an uploaded file become jobs of one batch, and their results the lines of two files."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query, Request, Response
from pydantic import TypeAdapter, ValidationError
from starlette.responses import JSONResponse

from threadmill.errors import UploadNotFound
from threadmill.job.file_batch import FileBatch, KeptFileBatch, new_file_batch_id
from threadmill.job.model import Metadata
from threadmill_gateway.files.uploading import upload_of
from threadmill_gateway.openai.batches.enqueueing import BatchEnqueueing
from threadmill_gateway.openai.batches.lines import ROUTES
from threadmill_gateway.openai.batches.object import ENDED, batch_object, status_of
from threadmill_gateway.openai.batches.output import batch_of, jobs_of
from threadmill_gateway.openai.errors import ApiError, invalid, missing, not_found
from threadmill_gateway.openai.fields import Fields
from threadmill_gateway.openai.replies import documented, page
from threadmill_gateway.requests.callers import Caller, Enqueuer, Reader
from threadmill_gateway.requests.state import Gateway, Served

router = APIRouter(prefix="/v1/batches", tags=["OpenAI"])

#: The completion window, and how long its jobs may take.
WINDOW, WINDOW_S = "24h", 24 * 3600

_METADATA: TypeAdapter[dict[str, str]] = TypeAdapter(Metadata)


async def _enqueueing(request: Request) -> BatchEnqueueing:
    enqueueing: BatchEnqueueing = request.app.state.batch_enqueueing
    return enqueueing


#: The parameter of a route that has lines enqueued.
Enqueueing = Annotated[BatchEnqueueing, Depends(_enqueueing)]


@router.post("", responses=documented(HTTPStatus.NOT_FOUND))
async def create(gateway: Served, caller: Enqueuer, enqueueing: Enqueueing, body: Annotated[Any, Body()]) -> Response:
    """Create a batch of the lines of a file. They are checked first: if one is wrong, no line becomes a job."""
    made = await _made(gateway, caller, Fields(body))
    await gateway.client.call(lambda client: client.store.add_file_batch(made))
    enqueueing.wake()
    return await _reply(gateway, caller, made.id)


@router.get("", responses=documented())
async def list_batches(
    gateway: Served, caller: Reader, limit: Annotated[int, Query(ge=1, le=100)] = 20, after: str | None = None
) -> Response:
    """List batches, the newest first."""
    if after is not None and await batch_of(gateway, caller, after) is None:
        raise invalid("after", "is the id of no batch.")
    found = await gateway.client.call(lambda client: client.store.file_batches(caller.owner, limit + 1, after))
    objects = await _objects(gateway, found[:limit])
    ends = {"first_id": objects[0]["id"], "last_id": objects[-1]["id"]} if objects else {}
    return JSONResponse(page(objects, **ends, has_more=len(found) > limit))


@router.get("/{batch_id}", responses=documented(HTTPStatus.NOT_FOUND))
async def get(batch_id: str, gateway: Served, caller: Reader) -> Response:
    """Read a batch: how many of its requests have an answer, and when it has ended, the ids of its files."""
    return await _reply(gateway, caller, batch_id)


@router.post("/{batch_id}/cancel", responses=documented(HTTPStatus.NOT_FOUND))
async def cancel(batch_id: str, gateway: Served, caller: Enqueuer, enqueueing: Enqueueing) -> Response:
    """Cancel a batch: no more lines become jobs, and its open jobs are cancelled."""
    kept = await _kept(gateway, caller, batch_id)
    status = status_of(kept.state, await jobs_of(gateway, kept.made))
    if status in ENDED:
        raise ApiError(400, f"Cannot cancel a batch with status '{status}'.", code="invalid_value")
    if kept.state.cancelling_at is None:
        now = await gateway.client.call(lambda client: client.store.now())
        await gateway.client.call(lambda client: client.store.change_file_batch(batch_id, cancelling_at=now))
        await gateway.client.call(lambda client: client.store.reopen_file_batch(kept.made))
        enqueueing.wake()
    return await _reply(gateway, caller, batch_id)


async def _made(gateway: Gateway, caller: Caller, fields: Fields) -> FileBatch:
    """Returns the batch that a request asks for. Raises ApiError, which names the parameter."""
    upload_id = fields.required_text("input_file_id")
    route = fields.word("endpoint", *ROUTES)
    window = fields.word("completion_window", WINDOW)
    metadata = _metadata(fields.mapping("metadata") or {})
    fields.only("output_expires_after", remedy="results are kept for a time that the settings name")
    fields.end()
    for name, value in (("endpoint", route), ("completion_window", window)):
        if value is None:
            raise missing(name)
    upload = None
    with suppress(UploadNotFound):
        upload = await upload_of(gateway, caller, upload_id)
    if upload is None:
        raise invalid("input_file_id", f"there is no file {upload_id!r:.100}; upload one with purpose batch.")
    if upload.purpose != "batch":
        raise invalid(
            "input_file_id", f"was uploaded with purpose {upload.purpose!r:.100}: upload it with purpose batch."
        )
    batch_id, owner = new_file_batch_id(), caller.name
    now = await gateway.client.call(lambda client: client.store.now())
    return FileBatch(
        id=batch_id,
        owner=owner,
        batch=caller.stored_batch(batch_id),
        route=str(route),
        upload_id=upload_id,
        completion_window=WINDOW,
        metadata=metadata,
        created_at=now,
        deadline_at=now + timedelta(seconds=WINDOW_S),
        endpoints=caller.key.endpoints if caller.key else None,
        max_open_jobs=caller.key.max_open_jobs if caller.key else None,
    )


def _metadata(given: dict[str, Any]) -> dict[str, str]:
    try:
        return _METADATA.validate_python(given)
    except ValidationError as error:
        raise invalid("metadata", f"{error.errors()[0]['msg']}.") from None


async def _kept(gateway: Gateway, caller: Caller, batch_id: str) -> KeptFileBatch:
    kept = await batch_of(gateway, caller, batch_id)
    if kept is None:
        raise not_found("Batch", batch_id)
    return kept


async def _reply(gateway: Gateway, caller: Caller, batch_id: str) -> Response:
    kept = await _kept(gateway, caller, batch_id)
    return JSONResponse(batch_object(kept, await jobs_of(gateway, kept.made)))


async def _objects(gateway: Gateway, found: Sequence[KeptFileBatch]) -> list[dict[str, Any]]:
    return [batch_object(kept, await jobs_of(gateway, kept.made)) for kept in found]
