"""`/v1/jobs/{id}/events`: the events of a job, as they happen."""

import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent

from threadmill.errors import ThreadmillError
from threadmill.job.events.event import Event
from threadmill.job.events.reader import check_entry_id
from threadmill_gateway.requests.callers import Reader, record_of
from threadmill_gateway.requests.problems import documented
from threadmill_gateway.requests.state import Served

log = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

LastEventId = Annotated[
    str | None, Header(max_length=100, description="Continue after the event with this `id`, which a browser sends.")
]


async def _followed(job_id: str, gateway: Served, caller: Reader, last_event_id: LastEventId = None) -> str:
    """Returns the id of a job that can be followed. A stream that has begun cannot say that there is none."""
    if last_event_id is not None:
        check_entry_id(last_event_id)
    return (await record_of(gateway, caller, job_id)).id


@router.get("/{job_id}/events", response_class=EventSourceResponse, responses=documented(HTTPStatus.NOT_FOUND))
async def events(
    followed: Annotated[str, Depends(_followed)], gateway: Served, last_event_id: LastEventId = None
) -> AsyncIterator[ServerSentEvent]:
    """Follow a job by server-sent events, from its beginning until it has ended.

    `event` is the kind: `state`, `run`, `tool_call`, `tool_output`, and for a job with `stream` also `text` and
    `message`. The last event has a `state` of `succeeded`, `failed` or `cancelled`. If the connection breaks before,
    continue with `Last-Event-ID`. A comment is sent after 15 seconds without an event.
    """
    try:
        async with aclosing(gateway.client.follow(followed, after=last_event_id)) as following:
            while (event := await gateway.unless_stopping(anext(following, None))) is not None:
                yield _sent(event)
    except ThreadmillError as error:  # the status has been sent: the reader connects again
        log.warning("the events of job %s broke off: %s", followed, error)


def _sent(event: Event) -> ServerSentEvent:
    data = event.model_dump_json(exclude={"kind", "entry_id"}, exclude_none=True)
    return ServerSentEvent(raw_data=data, event=event.kind, id=event.entry_id)
