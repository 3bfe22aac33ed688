"""A server for each module, started with its OPTIONS, and clients of it; each test begins with an empty server."""

from collections.abc import Iterator

import httpx
import pytest
from openai import OpenAI

from threadmill_emulator.testing import Running, running

HEADERS = {"Authorization": "Bearer k", "OpenAI-Beta": "assistants=v2"}


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    with running(request.module.OPTIONS) as server:
        yield server


@pytest.fixture
def client(server: Running) -> Iterator[OpenAI]:
    server.emulator.reset()
    with OpenAI(base_url=server.base_url, api_key="k", max_retries=0, _strict_response_validation=True) as client:
        yield client


@pytest.fixture
def http(server: Running) -> Iterator[httpx.Client]:
    server.emulator.reset()
    with httpx.Client(base_url=server.base_url, headers=HEADERS) as http:
        yield http
