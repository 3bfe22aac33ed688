"""Closes a connection without a reply, for which ASGI has no message."""

import asyncio

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

EXTENSION = "threadmill.transport"


class AbortableProtocol(H11Protocol):
    """uvicorn's protocol; it adds the TCP transport to the scope of each request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        app = self.app

        async def with_abort(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[EXTENSION] = transport
            await app(scope, receive, send)

        self.app = with_abort


async def hang_up(scope: Scope, receive: Receive) -> None:
    scope["extensions"][EXTENSION].abort()
    # Wait until uvicorn notices the abort. Otherwise it would reply with 500.
    while (await receive())["type"] != "http.disconnect":
        pass


def is_closed(scope: Scope) -> bool:
    return bool(scope["extensions"][EXTENSION].is_closing())
