"""What all routes share: the client, the API keys, and the options of the gateway."""

import asyncio
from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from threadmill.async_client import AsyncClient
from threadmill.settings.settings import Settings
from threadmill_gateway.keys import KeyRing
from threadmill_gateway.options import GatewayOptions


@dataclass(frozen=True)
class Gateway:
    client: AsyncClient
    keys: KeyRing
    options: GatewayOptions
    stopping: asyncio.Event = field(default_factory=asyncio.Event)  #: ends answers that are held back, and streams

    @property
    def settings(self) -> Settings:
        return self.client.settings


async def gateway_of(connection: HTTPConnection) -> Gateway:
    """Returns the gateway that serves a request. A function without `async` would run in a thread."""
    return cast(Gateway, connection.app.state.gateway)


#: The parameter of a route that needs the gateway.
Served = Annotated[Gateway, Depends(gateway_of)]
