"""Reads the stream of a completion to its end: publishes its text as it comes, and returns the whole completion."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import aiohttp

from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill_worker.answer.json_text import parse
from threadmill_worker.drivers.chat.chunks import Chunks
from threadmill_worker.drivers.http.api import Api, Reply
from threadmill_worker.drivers.http.bodies import too_large
from threadmill_worker.drivers.http.calls import Post, read_body
from threadmill_worker.drivers.replies.json import NotTheApi, as_dict, parse_object
from threadmill_worker.drivers.streaming.pacing import pause_after, read_to_end
from threadmill_worker.drivers.streaming.sse import Frame, Frames, TooLong
from threadmill_worker.live.buffer import EventBuffer

#: The last event of a stream. Some servers leave it out.
_DONE = b"[DONE]"

#: How long the server may take for its last chunks, with the usage, once the answer has ended, in seconds.
_AFTER_FINISH_S = 10.0


async def read_stream(api: Api, endpoint: Endpoint, post: Post, buffer: EventBuffer, name: str) -> Reply:
    """Sends the request and returns the completion. A server without streams may send it in one reply.

    `name`: that of the call. Raises NotTheApi if the stream ends before the answer, openai.OpenAIError.
    """
    with api.counting():
        async with api.http.stream(post, waits=True) as reply:
            if reply.headers.get("content-type", "").startswith("text/event-stream"):
                body = await _read(reply, endpoint.reply_limit_bytes, buffer, name)
            else:
                read = await read_body(reply, endpoint.reply_limit_bytes)
                body = parse_object(read.decode("utf-8", "replace"))
    api.headers = reply.headers
    return Reply(body, reply.headers)


async def _read(reply: aiohttp.ClientResponse, limit: int, buffer: EventBuffer, name: str) -> dict[str, Any]:
    stream = _Stream(limit, buffer, name)
    try:
        async with asyncio.timeout(None) as last_chunks:
            while not stream.is_done and (read := await reply.content.readany()):
                stream.feed(read)
                if stream.chunks.is_finished and last_chunks.when() is None:
                    last_chunks.reschedule(asyncio.get_running_loop().time() + _AFTER_FINISH_S)
                if not stream.is_done:
                    await pause_after(read)
            stream.feed(b"\n\n")  # some servers leave out the empty line after the last event
    except TimeoutError:
        pass
    except aiohttp.ClientError as error:
        if not stream.chunks.is_finished:
            raise NotTheApi(f"the stream broke off: {type(error).__name__}") from error
    finally:
        stream.end()
    if not stream.chunks.is_finished:
        raise NotTheApi("the stream ended before the answer")
    with suppress(aiohttp.ClientError):
        await read_to_end(reply)
    return parse_object(json.dumps(stream.chunks.body))  # as a whole, because a secret can be in several chunks


class _Stream:
    """The events of one stream. `limit`: bytes of an event, and characters of the answer."""

    def __init__(self, limit: int, buffer: EventBuffer, name: str) -> None:
        self.chunks = Chunks()
        self.is_done = False
        self._frames = Frames(limit)
        self._limit = limit
        self._buffer = buffer
        self._name = name
        self._text = ""

    def feed(self, read: bytes) -> None:
        try:
            for frame in self._frames.feed(read):
                self._take(frame)
        except TooLong:
            raise too_large(self._limit) from None
        if self.chunks.size > self._limit:
            raise too_large(self._limit)

    def end(self) -> None:
        """Publishes the whole text, or that there is none: another try of the call writes it again."""
        if self._text:
            self._buffer.message(self._name, self._text if self.chunks.is_finished else "")

    def _take(self, frame: Frame) -> None:
        if self.is_done or frame.data.strip() == _DONE:
            self.is_done = True
            return
        try:
            chunk = parse(frame.data.decode("utf-8", "replace"))
        except ValueError:
            raise NotTheApi("the stream has an event that is not JSON") from None
        if isinstance(chunk, list):  # Google sends errors as lists
            chunk = chunk[0] if chunk else {}
        is_error = frame.event == "error" and not as_dict(chunk).get("error")
        piece = self.chunks.feed({"error": chunk} if is_error else as_dict(chunk))
        if piece:
            self._text += piece
            self._buffer.delta(json.dumps([self._name, piece]).encode(), _read_delta)


def _read_delta(data: bytes) -> tuple[str, str]:
    name, piece = json.loads(data)
    return name, piece
