"""Limits of requests that apply before a route reads them."""

from collections.abc import Callable
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from threadmill_gateway.problems import Problem

#: Where the scope of a request has the bytes of its body that were read.
_READ = "threadmill.body_bytes"


class BodyLimit:
    """Refuses a body that is longer than `limit` bytes: at once if its length is declared, else as soon as it is read.

    FastAPI's own limit answers as plain text, before error handlers. `reply` makes the reply of a problem.
    """

    def __init__(self, app: ASGIApp, limit: int, reply: Callable[[Scope, Problem], Response]) -> None:
        self._app = app
        self._limit = limit
        self._reply = reply

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _declared(scope) > self._limit:
            refusal = Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, self._reason, headers={"Connection": "close"})
            await self._reply(scope, refusal)(scope, receive, send)
            return
        scope[_READ] = 0

        async def counted() -> Message:
            message = await receive()
            scope[_READ] += len(message.get("body", b""))
            if scope[_READ] > self._limit:  # an HTTPException passes through FastAPI's reading of a body
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, self._reason, {"Connection": "close"})
            return message

        await self._app(scope, counted, send)

    @property
    def _reason(self) -> str:
        return f"the body has more than {self._limit:,} bytes; send less, or have --max-body-bytes raised"


def check_body_bytes(scope: Scope, limit: int | None) -> None:
    """Raises Problem if the body of a request is longer than the caller's own limit, as far as it was read."""
    if limit is not None and max(_declared(scope), scope.get(_READ, 0)) > limit:
        raise Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the body has more than the {limit:,} bytes that this API key may send",
            "send less, or ask for a key with a higher limit",
        )


def _declared(scope: Scope) -> int:
    """Returns the length that a request declares; 0 if it declares none."""
    length = Headers(scope=scope).get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else 0
