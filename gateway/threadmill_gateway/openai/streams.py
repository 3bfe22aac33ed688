"""Streams of server-sent events as OpenAI's SDKs read them."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from starlette.responses import StreamingResponse

#: The end of a stream of chat completions.
DONE = "data: [DONE]\n\n"

#: A comment, which readers skip.
_HEARTBEAT = ": heartbeat\n\n"

_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}  # proxies must pass on each event at once


def frame(data: Mapping[str, Any], event: str | None = None) -> str:
    """Returns one event."""
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n"


def event_stream(frames: AsyncGenerator[str, None], heartbeat_s: float) -> StreamingResponse:
    """Returns a reply that sends the frames, and a comment after each `heartbeat_s` of silence."""
    return StreamingResponse(_with_heartbeats(frames, heartbeat_s), headers=_HEADERS, media_type="text/event-stream")


async def _with_heartbeats(frames: AsyncGenerator[str, None], heartbeat_s: float) -> AsyncGenerator[str, None]:
    async with aclosing(frames):
        following = asyncio.ensure_future(anext(frames, None))
        try:
            while True:
                done, _ = await asyncio.wait({following}, timeout=heartbeat_s)
                if not done:
                    yield _HEARTBEAT
                    continue
                if (text := following.result()) is None:
                    return
                following = asyncio.ensure_future(anext(frames, None))
                yield text
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
