"""A proxy that notes what a server of chat completions is asked. It refuses what it is told to refuse."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from servers.model import Asked, asked_of

_HEADERS = ("content-type", "retry-after", "openai-processing-ms")  #: of a reply, that are passed on


def _unchanged(body: dict[str, Any]) -> dict[str, Any]:
    return body


def _no_faults(body: dict[str, Any]) -> Iterable[str]:
    return ()


@dataclass
class Recorder:
    server: str  #: its base URL, with /v1
    change: Callable[[dict[str, Any]], dict[str, Any]] = _unchanged  #: what the server is asked in place of a request
    refuses: Callable[[dict[str, Any]], Iterable[str]] = _no_faults  #: what is wrong with a request
    distrusts: Callable[[dict[str, Any]], Iterable[str]] = _no_faults  #: what is wrong with a reply, unless a stream
    asked: list[Asked] = field(default_factory=list)

    @property
    def app(self) -> Starlette:
        routes = [
            Route("/v1/chat/completions", self._complete, methods=["POST"]),
            Route("/v1/{path:path}", self._pass, methods=["GET", "POST", "DELETE"]),
        ]
        return Starlette(routes=routes)

    async def _complete(self, request: Request) -> Response:
        body = await request.json()
        asked = asked_of(body)
        wanted, is_first = re.search(r"fail=(\d+)", asked.question), asked not in self.asked
        self.asked.append(asked)
        if wanted and is_first:
            return _refusal(int(wanted[1]), "the server is told to fail")
        wrong = list(self.refuses(body))
        if wrong:
            return _refusal(422, f"the request is not valid: {'; '.join(wrong)}")
        return await self._forward(request, json.dumps(self.change(body)).encode())

    async def _pass(self, request: Request) -> Response:
        return await self._forward(request, await request.body())

    async def _forward(self, request: Request, body: bytes) -> Response:
        """Passes on the reply as it comes. A client that hangs up ends the request to the server."""
        query = f"?{request.url.query}" if request.url.query else ""
        url = f"{self.server}{request.url.path.removeprefix('/v1')}{query}"
        headers = {name: request.headers[name] for name in ("authorization", "content-type") if name in request.headers}
        http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
        asking = asyncio.ensure_future(http.request(request.method, url, data=body, headers=headers))
        leaving = asyncio.ensure_future(_left(request))
        await asyncio.wait((asking, leaving), return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        if not asking.done():
            asking.cancel()
            await http.close()
            return Response(status_code=499)
        reply = asking.result()
        passed = {name: reply.headers[name] for name in _HEADERS if name in reply.headers}
        if reply.status == 200 and reply.content_type == "application/json" and request.method == "POST":
            wrong = list(self.distrusts(await reply.json()))
            if wrong:
                await http.close()
                return _refusal(422, f"the reply is not valid: {'; '.join(wrong)}")
        return StreamingResponse(_body(reply, http), reply.status, passed)


def _refusal(status: int, message: str) -> Response:
    error = {"message": message, "type": "invalid_request_error", "code": None, "param": None}
    return JSONResponse({"error": error}, status)


async def _left(request: Request) -> None:
    """Returns when the client has hung up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _body(reply: aiohttp.ClientResponse, http: aiohttp.ClientSession) -> AsyncIterator[bytes]:
    try:
        if reply.content.at_eof():  # it was read whole
            yield await reply.read()
        async for piece in reply.content.iter_any():
            yield piece
    finally:
        reply.close()
        await http.close()
