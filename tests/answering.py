"""A client whose server is a function, so that tests of drivers need no sockets."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import httpx2
import openai

from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill_worker.drivers.http.calls import Http
from threadmill_worker.drivers.http.client import Client

BASE_URL = "http://server/v1"

Answer = Callable[[httpx2.Request], httpx2.Response]


def client_of(answer: Answer, endpoint: Endpoint | None = None) -> Client:
    """Returns a client that gets the reply to each call from `answer`. An exception that it raises breaks the call."""
    http = Http(endpoint or Endpoint(kind="responses", api_key_env=None), BASE_URL, {})
    http._session = cast(aiohttp.ClientSession, _Session(answer))
    of_sdk = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    return Client(openai.AsyncOpenAI(api_key="none", base_url=BASE_URL, max_retries=0, http_client=of_sdk), http)


class Content:
    """The body of a reply, as aiohttp reads it."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = list(chunks)

    async def iter_any(self) -> AsyncIterator[bytes]:
        while chunk := await self.readany():
            yield chunk

    async def readany(self) -> bytes:
        return self._chunks.pop(0) if self._chunks else b""


class _Session:
    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    @asynccontextmanager
    async def request(self, method: str, url: Any, *, data: bytes | None, headers: Any, **_: Any) -> AsyncIterator[Any]:
        reply = self._answer(httpx2.Request(method, str(url), content=data, headers=headers))
        yield SimpleNamespace(status=reply.status_code, headers=reply.headers, content=Content(reply.content))
