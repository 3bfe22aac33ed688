"""Limits of requests that apply before a route reads them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from threadmill_gateway.requests.problems import Problem


class BodyLimit:
    """Refuses a body that is longer than `limit` bytes: at once if its length is declared, else as soon as it is read.

    FastAPI's own limit answers as plain text, before error handlers. `reply`: makes a reply of the refusal. `uploads`:
    the paths that take files, with their limits.
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
        declared = Headers(scope=scope).get("content-length", "")
        body = _Body(int(declared) if declared.isdigit() else 0)
        path = str(scope["path"]).removeprefix(str(scope.get("root_path", "")))
        if path in self._uploads:
            body.limit_to(self._uploads[path], "upload_limit_bytes")
        else:
            body.limit_to(self._limit, "--max-body-bytes")
        if (reason := body.excess) is not None:
            refusal = Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, reason, headers={"Connection": "close"})
            await self._reply(scope, refusal)(scope, receive, send)
            return
        scope.setdefault("state", {})["body"] = body

        async def counted() -> Message:
            message = await receive()
            body.read += len(message.get("body", b""))
            body.check()
            return message

        await self._app(scope, counted, send)


@dataclass
class _Body:
    """The body of a request, as far as its length is known."""

    declared: int
    read: int = 0
    limit: float = math.inf
    source: str = ""  #: what sets the limit

    def limit_to(self, limit: int, source: str) -> None:
        if limit < self.limit:
            self.limit, self.source = limit, source

    @property
    def excess(self) -> str | None:
        """Why the body is refused; None if it is not."""
        if max(self.declared, self.read) <= self.limit:
            return None
        return f"the body has more than {self.limit:,} bytes; send less, or have the limit raised ({self.source})"

    def check(self) -> None:
        """Raises HTTPException, which passes through FastAPI's reading of a body."""
        if (reason := self.excess) is not None:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, reason, {"Connection": "close"})


def lower_body_limit(request: Request, limit: int, source: str) -> None:
    """Limits the body of a request to fewer bytes. Raises HTTPException if it is longer. `source`: what says so."""
    body: _Body = request.state.body
    body.limit_to(limit, source)
    body.check()
