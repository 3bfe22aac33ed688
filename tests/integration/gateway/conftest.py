"""A gateway per test, served on a loopback socket."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import httpx
import pytest
from tests.served import served

from threadmill import Client, Settings
from threadmill_gateway.app import create_app
from threadmill_gateway.options import GatewayOptions


@pytest.fixture
def gateway_of(settings: Settings) -> Iterator[Callable[..., str]]:
    """Starts gateways with options of the test, and returns their URLs."""
    with ExitStack() as running:

        def start(with_settings: Settings = settings, **options: Any) -> str:
            return running.enter_context(served(create_app(with_settings, GatewayOptions(**options))))

        yield start


@pytest.fixture
def gateway_url(gateway_of: Callable[..., str]) -> str:
    return gateway_of()


@pytest.fixture
async def http(gateway_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the gateway."""
    async with httpx.AsyncClient(base_url=gateway_url, timeout=60) as client:
        yield client


@pytest.fixture
async def caller(gateway_url: str, client: Client) -> AsyncIterator[Callable[..., httpx.AsyncClient]]:
    """Makes clients of the gateway, each with an API key of its own: call it before the gateway's first request."""
    async with AsyncExitStack() as open_clients:

        def make(name: str, **fields: Any) -> httpx.AsyncClient:
            text = client.create_api_key(name, **fields).text
            made = httpx.AsyncClient(base_url=gateway_url, timeout=60, headers={"Authorization": f"Bearer {text}"})
            open_clients.push_async_callback(made.aclose)
            return made

        yield make


@pytest.fixture
def run(worker: Any) -> Callable[[str], Awaitable[Any]]:
    """Runs a job, as a worker does that has received it."""
    return worker.see_through  # type: ignore[no-any-return]


@pytest.fixture
def key(client: Client) -> Callable[..., dict[str, str]]:
    """Makes API keys. Returns the header of a caller. Call it before the gateway's first request, or wait 5 s."""

    def make(name: str, **fields: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {client.create_api_key(name, **fields).text}"}

    return make
