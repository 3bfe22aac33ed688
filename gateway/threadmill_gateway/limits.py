"""Limits of requests that apply before a route reads them."""

from collections.abc import Callable, Mapping
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from threadmill_gateway.problems import Problem


class BodyLimit:
    """Refuses a body that is longer than `limit` bytes: at once if its length is declared, else as soon as it is read.

    FastAPI's own limit answers as plain text, before error handlers. `reply`: makes a reply of the refusal. `uploads`:
    the paths that take files, and their limits.
    """

    def __init__(
        self, app: ASGIApp, limit: int, reply: Callable[[Scope, Problem], Response], uploads: Mapping[str, int]
    ) -> None:
        self._app = app
        self._limit = limit
        self._uploads = uploads
        self._reply = reply

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = str(scope["path"]).removeprefix(str(scope.get("root_path", "")))
        limit = self._uploads.get(path, self._limit)
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdigit() and int(declared) > limit:
            refusal = Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _reason(limit), headers={"Connection": "close"})
            await self._reply(scope, refusal)(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > limit:  # an HTTPException passes through FastAPI's reading of a body
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _reason(limit), {"Connection": "close"})
            return message

        await self._app(scope, counted, send)


def _reason(limit: int) -> str:
    return f"the body has more than {limit:,} bytes; send less, or have the limit raised"
