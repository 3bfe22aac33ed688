"""Streams of server-sent events as OpenAI's SDKs read them."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

import anyio
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from threadmill.errors import ThreadmillError
from threadmill_gateway.openai.errors import ApiError
from threadmill_gateway.openai.replies import api_error
from threadmill_gateway.requests.problems import problem_of

#: The end of a stream of chat completions.
DONE = "data: [DONE]\n\n"

#: A comment, which readers skip.
_HEARTBEAT = ": heartbeat\n\n"

_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}  # proxies must pass on each event at once


def frame(data: Mapping[str, Any], event: str | None = None) -> str:
    """Returns one event."""
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n"


class EventStream(StreamingResponse):
    """A reply that sends frames, and a comment after each `heartbeat_s` of silence.

    An ApiError, or an error of the library, becomes the last event: the status of the reply was sent before.
    `when_gone` is called if the reader hangs up before the end.
    """

    def __init__(
        self,
        frames: AsyncGenerator[str, None],
        heartbeat_s: float,
        when_gone: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._frames = frames
        self._heartbeat_s = heartbeat_s
        self._when_gone = when_gone
        self._has_ended = False
        self._sent = self._with_heartbeats()
        super().__init__(self._sent, headers=_HEADERS, media_type="text/event-stream")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await self._sent.aclose()
                await self._frames.aclose()
                if self._when_gone is not None and not self._has_ended:
                    await self._when_gone()

    async def _with_heartbeats(self) -> AsyncGenerator[str, None]:
        async with aclosing(_with_errors(self._frames)) as frames:
            following = asyncio.ensure_future(anext(frames, None))
            try:
                while True:
                    done, _ = await asyncio.wait({following}, timeout=self._heartbeat_s)
                    if not done:
                        yield _HEARTBEAT
                    elif (text := following.result()) is None:
                        break
                    else:
                        following = asyncio.ensure_future(anext(frames, None))
                        yield text
                self._has_ended = True
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)


async def _with_errors(frames: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
    async with aclosing(frames):
        try:
            async for text in frames:
                yield text
        except ApiError as error:
            yield frame(error.body, "error")
        except ThreadmillError as error:
            yield frame(api_error(problem_of(error)).body, "error")
