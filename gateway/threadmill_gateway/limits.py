"""Limits of requests that apply before a route reads them."""

from collections.abc import Callable
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from threadmill_gateway.problems import Problem


class BodyLimit:
    """Refuses a body that is longer than `limit` bytes: at once if its length is declared, else as soon as it is read.

    FastAPI's own limit answers as plain text, before error handlers. `reply`: makes a reply of the refusal.
    """

    def __init__(self, app: ASGIApp, limit: int, reply: Callable[[Scope, Problem], Response]) -> None:
        self._app = app
        self._limit = limit
        self._reply = reply

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdigit() and int(declared) > self._limit:
            refusal = Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, self._reason, headers={"Connection": "close"})
            await self._reply(scope, refusal)(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._limit:  # an HTTPException passes through FastAPI's reading of a body
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, self._reason, {"Connection": "close"})
            return message

        await self._app(scope, counted, send)

    @property
    def _reason(self) -> str:
        return f"the body has more than {self._limit:,} bytes; send less, or have --max-body-bytes raised"
