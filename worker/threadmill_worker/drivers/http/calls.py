"""Makes the calls of runs with aiohttp alone. The SDK's typed calls take ten times the CPU time.

Errors are those of the SDK, so that all calls of the drivers fail alike.
"""

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx2
import openai
from yarl import URL

from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill_worker.drivers.http.bodies import ERROR_BYTES, OF_ENCODING, too_large
from threadmill_worker.drivers.http.keepalive import probed_socket
from threadmill_worker.tracing.http_calls import http_call

_USER_AGENT = f"threadmill/{version('threadmill')}"

#: Objects whose calls require a header, also on servers of the Responses API.
_OF_ASSISTANTS = frozenset({"threads", "vector_stores"})

#: The exceptions of statuses that callers tell apart.
_ERRORS: dict[int, type[openai.APIStatusError]] = {400: openai.BadRequestError, 404: openai.NotFoundError}


class Raw(NamedTuple):
    """A reply whose body is not parsed."""

    text: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Post:
    """A POST. `path`: the segments of the path after base_url."""

    path: Sequence[str]
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


class Http:
    """The connections to one server. Connects on the first call.

    `headers` and `query` are sent with every call. `token`: returns a token that is sent in place of a key. Every call
    raises openai.APIStatusError, openai.APITimeoutError, openai.APIConnectionError, UnusableReply.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        base_url: str,
        headers: Mapping[str, str],
        query: Mapping[str, str] | None = None,
        token: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._base_url = base_url.rstrip("/")
        self._headers = {"Accept": "application/json", "User-Agent": _USER_AGENT, **headers}
        self._query = dict(query or {})
        self._token = token
        self._session: aiohttp.ClientSession | None = None
        limit_s, connect_s = endpoint.request_timeout_s, endpoint.connect_timeout_s
        # `connect` includes the wait for a free connection.
        self._usual = aiohttp.ClientTimeout(connect=limit_s + connect_s, sock_connect=connect_s, sock_read=limit_s)
        # A run may send nothing for a long time, and polls notice a dead stream.
        self._of_streams = aiohttp.ClientTimeout(connect=limit_s + connect_s, sock_connect=connect_s)
        # Calls that wait for runs hold the connections for long.
        self._waiting = aiohttp.ClientTimeout(sock_connect=connect_s)

    async def get(self, *path: str, **query: Any) -> Raw:
        return await self._call("GET", path, self._usual, query=query)

    async def delete(self, *path: str) -> Raw:
        return await self._call("DELETE", path, self._usual)

    async def post(self, *path: str, body: dict[str, Any] | None = None) -> Raw:
        return await self._call("POST", path, self._usual, body=body)

    async def send(self, post: Post, *, waits: bool = False) -> Raw:
        """`waits`: the reply may come only when the run has ended, so that the caller limits its time."""
        limits = self._waiting if waits else self._usual
        return await self._call("POST", post.path, limits, body=post.body, headers=post.headers)

    @asynccontextmanager
    async def stream(self, post: Post, *, waits: bool = False) -> AsyncIterator[aiohttp.ClientResponse]:
        """Asks for an event stream. The caller reads and limits the body; the time between two reads has no limit."""
        body = {**post.body, "stream": True}
        limits = self._waiting if waits else self._of_streams
        async with self._reply("POST", post.path, limits, body=body, headers=post.headers) as reply:
            yield reply

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _call(self, method: str, path: Sequence[str], limits: aiohttp.ClientTimeout, **parts: Any) -> Raw:
        async with self._reply(method, path, limits, **parts) as reply:
            body = await read_body(reply, self._endpoint.reply_limit_bytes)
            return Raw(body.decode("utf-8", "replace"), reply.headers)

    @asynccontextmanager
    async def _reply(
        self,
        method: str,
        path: Sequence[str],
        limits: aiohttp.ClientTimeout,
        *,
        query: Mapping[str, Any] | None = None,
        body: dict[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        url = self._url(path, query)
        headers = dict(headers or {})
        if path[0] in _OF_ASSISTANTS:
            headers["OpenAI-Beta"] = "assistants=v2"
        if self._token is not None:
            headers["Authorization"] = f"Bearer {await self._token()}"
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        session = self._session or self._open()
        with http_call(method, url, headers) as call:
            try:
                async with session.request(
                    method, URL(url, encoded=True), data=data, headers=headers, timeout=limits, allow_redirects=False
                ) as reply:
                    call.replied(reply.status)
                    if reply.status >= 300:
                        raise await _status_error(method, url, reply)
                    yield reply
            except TimeoutError as error:
                raise openai.APITimeoutError(request=httpx2.Request(method, url)) from error
            except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: a key that no header can hold
                raise openai.APIConnectionError(request=httpx2.Request(method, url)) from error

    def _url(self, path: Sequence[str], query: Mapping[str, Any] | None) -> str:
        url = "/".join((self._base_url, *map(_segment, path)))
        query = {**self._query, **query} if query else self._query
        return f"{url}?{urlencode(list(_pairs(query)))}" if query else url

    def _open(self) -> aiohttp.ClientSession:
        """Opens the session, which needs a running event loop."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._endpoint.max_connections, ssl=_ssl_of(self._base_url), socket_factory=probed_socket
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            proxy=_proxy_of(self._base_url),
        )
        return self._session


async def read_body(reply: aiohttp.ClientResponse, limit: int) -> bytes:
    """Returns the decompressed body. Raises UnusableReply if it has more than `limit` bytes."""
    body = bytearray()
    async for chunk in reply.content.iter_any():
        body += chunk
        if len(body) > limit:
            raise too_large(limit)
    return bytes(body)


async def _status_error(method: str, url: str, reply: aiohttp.ClientResponse) -> openai.APIStatusError:
    """Returns the error of a reply. A long body is cut: messages show far less of it."""
    body = bytearray()
    async for chunk in reply.content.iter_any():
        body += chunk
        if len(body) >= ERROR_BYTES:
            break
    headers = [(name, value) for name, value in reply.headers.items() if name.lower() not in OF_ENCODING]
    response = httpx2.Response(
        reply.status, headers=headers, content=bytes(body[:ERROR_BYTES]), request=httpx2.Request(method, url)
    )
    kind = _ERRORS.get(reply.status, openai.APIStatusError)
    return kind(f"Error code: {reply.status} - {response.text[:500]}", response=response, body=None)


def _segment(text: str) -> str:
    """Returns the text as one segment of a path, so that an id of a job cannot name another path."""
    return quote(text, safe="") if text.strip(".") else text.replace(".", "%2E")


def _pairs(query: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Returns the parameters; those with several values as the API expects them: `include[]=A&include[]=B`."""
    pairs: list[tuple[str, Any]] = []
    for name, value in query.items():
        pairs += [(f"{name}[]", each) for each in value] if isinstance(value, list) else [(name, value)]
    return pairs


def _ssl_of(base_url: str) -> ssl.SSLContext | bool:
    """Returns the certificates of the system or of SSL_CERT_FILE. A server without TLS needs none: they take 40 ms."""
    return httpx2.create_ssl_context() if base_url.startswith("https:") else True


def _proxy_of(base_url: str) -> str | None:
    """Returns the proxy that the environment names for the server: HTTPS_PROXY, ALL_PROXY, NO_PROXY and so on."""
    parts, proxies = urlsplit(base_url), getproxies()
    if proxy_bypass(parts.netloc):
        return None
    return proxies.get(parts.scheme) or proxies.get("all")
