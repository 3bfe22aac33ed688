"""Limits the size of replies, before and after decompression: 5 MB of gzip can hold 5 GB."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, cast

import httpx2
from openai import DefaultAioHttpClient

from threadmill_worker.drivers.replies.json import UnusableReply
from threadmill_worker.tracing.http_calls import http_call

#: Bytes that are read of the body of an error. Messages show far less of it.
ERROR_BYTES = 100_000

#: Headers that describe the body as it was sent, not the decompressed one.
OF_ENCODING = frozenset({"content-encoding", "content-length", "transfer-encoding"})


class BoundedClient(DefaultAioHttpClient):
    """Raises UnusableReply for a reply of more than `reply_limit_bytes`. Bodies of errors are cut instead.

    Event streams and files are limited where they are read.
    """

    def __init__(self, reply_limit_bytes: int, **options: Any) -> None:
        super().__init__(**options)
        self._reply_limit = reply_limit_bytes

    async def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        with http_call(request.method, str(request.url), request.headers) as call:
            reply = await super().send(request, stream=True, **options)
            call.replied(reply.status_code)
        try:
            if not _has_own_limit(reply):
                reply = self._bounded(reply)
            if not stream:
                await reply.aread()
        except BaseException:
            await reply.aclose()
            raise
        return reply

    def _bounded(self, reply: httpx2.Response) -> httpx2.Response:
        limit = ERROR_BYTES if reply.is_error else self._reply_limit
        sent = cast(httpx2.AsyncByteStream, reply.stream)
        reply.stream = _Bounded(sent.__aiter__, sent.aclose, limit, cut=reply.is_error)
        return httpx2.Response(
            reply.status_code,
            headers=[(name, value) for name, value in reply.headers.multi_items() if name not in OF_ENCODING],
            stream=_Bounded(reply.aiter_bytes, reply.aclose, limit, cut=reply.is_error),
            request=reply.request,
            extensions=reply.extensions,
        )


def _has_own_limit(reply: httpx2.Response) -> bool:
    is_stream = reply.headers.get("content-type", "").startswith("text/event-stream")
    is_file = reply.request.method == "GET" and reply.request.url.path.endswith("/content")
    return reply.is_success and (is_stream or is_file)


class _Bounded(httpx2.AsyncByteStream):
    """At most `limit` bytes of a body. The rest is cut, or raises UnusableReply."""

    def __init__(
        self,
        read: Callable[[], AsyncIterator[bytes]],
        close: Callable[[], Awaitable[None]],
        limit: int,
        *,
        cut: bool,
    ) -> None:
        self._read = read
        self._close = close
        self._limit = limit
        self._cut = cut

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._limit
        async with aclosing(cast(AsyncGenerator[bytes], self._read())) as chunks:
            async for chunk in chunks:
                if len(chunk) > left and not self._cut:
                    raise too_large(self._limit)
                yield chunk[:left]
                left -= len(chunk)
                if left < 0:
                    return

    async def aclose(self) -> None:
        await self._close()


async def lines(chunks: AsyncIterable[bytes], limit: int) -> AsyncIterator[bytes]:
    """Yields the lines of a file, without line breaks. Raises UnusableReply for a line of more than `limit` bytes."""
    rest = bytearray()
    async for chunk in chunks:
        first, *others = chunk.split(b"\n")
        rest += first
        for other in others:
            yield bytes(rest)
            rest = bytearray(other)
        if len(rest) > limit:
            raise too_large(limit)
    if rest:
        yield bytes(rest)


def too_large(limit: int) -> UnusableReply:
    return UnusableReply(
        f"the server's reply has more than {limit} bytes; raise reply_limit_bytes if it should be read"
    )
