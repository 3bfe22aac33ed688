"""A server for each module, started with its OPTIONS, and clients of it; each test begins with an empty server.

A module whose tests move the time has a CLOCK.
"""

import time
from collections.abc import Iterator
from typing import cast

import httpx
import pytest
from openai import OpenAI

from threadmill_emulator.testing import Running, running

HEADERS = {"Authorization": "Bearer k", "OpenAI-Beta": "assistants=v2"}


class Clock:
    """Seconds since 1970; only a test moves it."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def clock(request: pytest.FixtureRequest) -> Clock:
    return cast(Clock, request.module.CLOCK)


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    clock = getattr(request.module, "CLOCK", time.time)
    with running(request.module.OPTIONS, clock) as server:
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
