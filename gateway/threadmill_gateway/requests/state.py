"""What all routes share: the client, the options of the gateway, and the API keys."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from threadmill.async_client import AsyncClient
from threadmill.settings.settings import Settings
from threadmill_gateway.options import GatewayOptions
from threadmill_gateway.requests.key_ring import KeyRing

_T = TypeVar("_T")


@dataclass(frozen=True)
class Gateway:
    client: AsyncClient
    options: GatewayOptions
    keys: KeyRing
    stopping: asyncio.Event = field(default_factory=asyncio.Event)  #: ends streams, and replies that are held back

    async def unless_stopping(self, call: Coroutine[Any, Any, _T]) -> _T | None:
        """Returns the result of a call that may take long; None, and the call is cancelled, if the gateway stops."""
        calling, stopping = asyncio.ensure_future(call), asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait({calling, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return calling.result() if calling.done() else None
        finally:
            for task in (calling, stopping):
                task.cancel()
            await asyncio.gather(calling, stopping, return_exceptions=True)

    @property
    def settings(self) -> Settings:
        return self.client.settings


async def gateway_of(connection: HTTPConnection) -> Gateway:
    """Returns the gateway that serves a request. A function without `async` would run in a thread."""
    return cast(Gateway, connection.app.state.gateway)


#: The parameter of a route that needs the gateway.
Served = Annotated[Gateway, Depends(gateway_of)]
