"""One gateway, one worker process and one emulator for each module, and OpenAI's SDK as their client."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from openai import AsyncOpenAI, OpenAI
from tests.conftest import HASTY
from tests.emulated import Emulated
from tests.served import served

from threadmill import Client, Settings
from threadmill_gateway.app import create_app
from threadmill_gateway.options import GatewayOptions

#: The model of requests: an endpoint of either wire.
MODELS = ["assistants", "responses"]

#: How long a request may take on a busy machine.
PATIENCE_S = 60


@dataclass(frozen=True)
class Site:
    """What a test talks to. `url`: that of OpenAI's API."""

    url: str
    settings: Settings
    client: Client
    emulator: Emulated


@pytest.fixture(scope="module")
def site(emulate: Any, make_settings: Any, start_worker_for_all: Any) -> Iterator[Site]:
    with emulate() as emulator:
        server = {"kind": "emulator", "base_url": emulator.base_url, **HASTY}
        endpoints = {
            "assistants": server,
            "responses": server | {"wire": "responses", "model": "emulator-1", "assistant": None},
        }
        settings = make_settings(
            emulator.base_url,
            endpoints=endpoints,
            default_endpoint="responses",
            profiles={"echo": {"model": "emulator-echo"}},
            tools={"multiply": "tests.integration.gateway.openai.calculator:multiply"},
        )
        start_worker_for_all(settings)
        with served(create_app(settings, GatewayOptions(heartbeat_s=0.2))) as url:
            yield Site(f"{url}/v1", settings, Client(settings), emulator)


@pytest.fixture
def sdk(site: Site) -> Iterator[OpenAI]:
    """It repeats no request, so that a test sees each reply."""
    with OpenAI(base_url=site.url, api_key="none", max_retries=0, timeout=PATIENCE_S) as sdk:
        yield sdk


@pytest.fixture
async def async_sdk(site: Site) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=site.url, api_key="none", max_retries=0, timeout=PATIENCE_S) as sdk:
        yield sdk


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def http(site: Site) -> Iterator[httpx2.Client]:
    """What no SDK would send."""
    with httpx2.Client(base_url=site.url, timeout=PATIENCE_S) as client:
        yield client
