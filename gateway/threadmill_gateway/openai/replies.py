"""Replies in the form of OpenAI's API: bodies, and errors, also those that other parts of the gateway raise."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Scope

from threadmill_gateway.openai.errors import INVALID, ApiError
from threadmill_gateway.requests.problems import EVERYWHERE, AsciiReply, Problem

#: The paths whose replies have OpenAI's form.
_PATHS = ("/v1/models", "/v1/responses", "/v1/chat", "/v1/files", "/v1/batches")

#: What OpenAI's errors have as `code` for a status, where ours say nothing more.
_CODES = {
    HTTPStatus.UNAUTHORIZED: "invalid_api_key",
    HTTPStatus.FORBIDDEN: "permission_denied",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.CONFLICT: "conflict",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_exceeded",
    HTTPStatus.SERVICE_UNAVAILABLE: "service_unavailable",
}


class ErrorBody(BaseModel):
    """An error in the form of OpenAI's API."""

    message: str
    type: str
    param: str | None = None  #: the parameter that is wrong
    code: str | None = None


class ErrorReply(BaseModel):
    error: ErrorBody


def speaks_openai(scope: Scope) -> bool:
    """Whether the path of a request belongs to OpenAI's API."""
    path = str(scope["path"]).removeprefix(str(scope.get("root_path", "")))
    return any(path == each or path.startswith(f"{each}/") for each in _PATHS)


def error_reply(error: ApiError) -> Response:
    return AsciiReply(error.body, error.status, error.headers)


def api_error(problem: Problem) -> ApiError:
    """Returns a problem as an error of OpenAI's API. OpenAI has 400 where we have 422."""
    body, status = problem.body, problem.status
    status = HTTPStatus.BAD_REQUEST if status == HTTPStatus.UNPROCESSABLE_ENTITY else status
    text = f"{body.detail}: {body.remedy}" if body.remedy else body.detail
    kind = "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else INVALID
    param = body.errors[0].field.rpartition(".")[2] if body.errors else None
    return ApiError(status, text, type=kind, param=param, code=_CODES.get(status), headers=problem.headers)


def documented(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """Returns the errors that a route may answer with, for OpenAPI."""
    return {int(each): {"description": each.phrase, "model": ErrorReply} for each in (*EVERYWHERE, *statuses)}


def page(objects: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """Returns a list of objects."""
    return {"object": "list", "data": objects, **more}


def cut(
    objects: list[dict[str, Any]], limit: int, order: str, after: str | None
) -> tuple[list[dict[str, Any]], Mapping[str, Any]]:
    """Returns a page of objects that are in order of time, and what says where it ends. `after`: an id."""
    ordered = objects if order == "asc" else objects[::-1]
    rest = list(_after(ordered, after))
    shown = rest[:limit]
    ends = {"first_id": shown[0]["id"] if shown else None, "last_id": shown[-1]["id"] if shown else None}
    return shown, {**ends, "has_more": len(rest) > limit}


def _after(objects: list[dict[str, Any]], after: str | None) -> Iterator[dict[str, Any]]:
    seen = after is None
    for each in objects:
        if seen:
            yield each
        seen = seen or each["id"] == after
