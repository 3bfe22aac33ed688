"""Errors as RFC 9457 problems: JSON that names the thing, the reason and the remedy."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from threadmill.errors import (
    BatchNotFound,
    InvalidCursor,
    InvalidEntryId,
    InvalidJob,
    JobNotEnded,
    JobNotFound,
    KeyConflict,
    SettingsError,
    StoreUnavailable,
    ThreadInUse,
    ThreadmillError,
    ThreadNotFound,
    UploadNotFound,
    UploadTooLarge,
)
from threadmill.secrets.redaction import redact_all

MEDIA_TYPE = "application/problem+json"

#: After so many seconds a client may try again while Redis cannot be used.
RETRY_AFTER_S = 5

#: The statuses of refusals that every route may answer with.
EVERYWHERE = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
)

#: The statuses of errors that the library raises.
_STATUSES: Sequence[tuple[type[ThreadmillError], HTTPStatus]] = (
    (JobNotFound, HTTPStatus.NOT_FOUND),
    (ThreadNotFound, HTTPStatus.NOT_FOUND),
    (UploadNotFound, HTTPStatus.NOT_FOUND),
    (UploadTooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (InvalidJob, HTTPStatus.UNPROCESSABLE_ENTITY),
    (KeyConflict, HTTPStatus.UNPROCESSABLE_ENTITY),  # as draft-ietf-httpapi-idempotency-key-header says
    (InvalidCursor, HTTPStatus.UNPROCESSABLE_ENTITY),
    (InvalidEntryId, HTTPStatus.UNPROCESSABLE_ENTITY),
    (SettingsError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (ThreadInUse, HTTPStatus.CONFLICT),
    (JobNotEnded, HTTPStatus.CONFLICT),
)


class AsciiReply(JSONResponse):
    """JSON in ASCII: an error may quote half a character of the request (a lone surrogate), which UTF-8 cannot have."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, separators=(",", ":")).encode()


class FieldError(BaseModel):
    field: str  #: where it is in the request, as `body.prompt` or `query.limit`
    message: str


class ProblemBody(BaseModel):
    """A problem as RFC 9457 has it, with the members `remedy` and `errors`."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    remedy: str | None = None  #: what the caller can do
    errors: list[FieldError] | None = None  #: the fields of the request that are wrong


class Problem(Exception):
    """A request that cannot be answered as asked. Routes raise it, or let errors of the library pass."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        remedy: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.body = ProblemBody(
            title=status.phrase, status=status, detail=detail, remedy=remedy, errors=list(errors) or None
        )
        self.headers = dict(headers or {})

    def response(self) -> Response:
        body = redact_all(self.body.model_dump(exclude_none=True))
        return AsciiReply(body, self.status, self.headers, media_type=MEDIA_TYPE)


def wrong_field(field: str, reason: str, remedy: str, status: HTTPStatus = HTTPStatus.UNPROCESSABLE_ENTITY) -> Problem:
    """Returns the problem with one field of a body."""
    return Problem(status, reason, remedy, errors=[FieldError(field=f"body.{field}", message=reason)])


def problem_of(error: ThreadmillError) -> Problem:
    """Returns the problem that an error of the library is."""
    if isinstance(error, StoreUnavailable):  # its text names hosts of our own
        return Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "Redis cannot be used now, so nothing was changed unless the request had been carried out already",
            "send the request again, with the same Idempotency-Key if it enqueues a job",
            headers={"Retry-After": str(RETRY_AFTER_S)},
        )
    if isinstance(error, BatchNotFound):  # its text suggests similar names, which may be those of other callers
        return Problem(
            HTTPStatus.NOT_FOUND, "there is no such batch, or it is no longer kept", "see GET /v1/job-batches"
        )
    for kind, status in _STATUSES:
        if isinstance(error, kind):
            return Problem(status, str(error))
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))


def invalid_request(errors: Sequence[Mapping[str, Any]]) -> Problem:
    """Returns the problem with the fields that FastAPI found to be wrong."""
    found = [
        FieldError(field=".".join(map(str, each["loc"])), message=str(each["msg"]).removeprefix("Value error, "))
        for each in errors
    ]
    detail = "; ".join(f"`{each.field}`: {each.message}" for each in found)
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, "correct these fields", errors=found)


def documented(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """Returns the problems that a route may answer with, for OpenAPI, besides those that every route has."""
    return {
        int(status): {"description": status.phrase, "content": {MEDIA_TYPE: {"schema": _SCHEMA}}} for status in statuses
    }


_SCHEMA = {"$ref": "#/components/schemas/ProblemBody"}
