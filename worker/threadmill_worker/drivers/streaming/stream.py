"""Reads a run's event stream: its text goes to the job's feed; that the run moved, to whoever waits for a look.

A stream decides nothing: some break off, end without a word, or report an end that was none. So polling continues
beside it, and a look follows each of them. The look needs no call where the stream's last event holds the whole run.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from dataclasses import replace
from functools import partial
from typing import Any, cast

import httpx2
import openai
import structlog
from openai import AsyncAPIResponse

from threadmill.secrets.redaction import redact
from threadmill.settings.endpoint import Endpoint
from threadmill_worker.drivers.api import Api, Reply
from threadmill_worker.drivers.error_bodies import read_error
from threadmill_worker.drivers.json import NotTheApi, parse_object
from threadmill_worker.drivers.streaming.events import Events, name_of
from threadmill_worker.drivers.streaming.sse import Frame, Frames
from threadmill_worker.lifecycle.observations import RunObservation
from threadmill_worker.live import EventBuffer

log = structlog.get_logger(__name__)

#: Between two reads: deltas gather meanwhile, and are read together; all streams at the same moments.
READ_PAUSE_S = 0.2

#: Between two looks at a run whose stream lives.
RARELY_S = 10.0

#: A read of so many bytes has not emptied the buffer: the next follows at once.
_FULL = 8192

#: A stream that has told how its run ended may end by itself within this time, so that its connection is kept.
_END_S = 1.0

#: Statuses of a refusal to stream: 422 is FastAPI's, 501 is that of servers which have not implemented it.
_REFUSING = frozenset({400, 422, 501})

#: OGX: "OGX does not yet support 'stream' and 'background' together."; not an "upstream error".
_ABOUT_STREAMS = re.compile(r"\bstream", re.IGNORECASE)

#: Makes a call of the SDK.
Start = Callable[..., AbstractAsyncContextManager[AsyncAPIResponse[Any]]]


class Silent(NotTheApi):
    """A stream did not say within the usual time which run it is about."""


class StreamSlots:
    """Which streams the jobs of an endpoint may have: each holds a connection for as long as its run lasts."""

    def __init__(self, most: int) -> None:
        self.left = most
        self.refused: set[str | None] = set()  #: models whose runs the server does not stream; OpenAI decides by model


class EventStream:
    """The streams of a job's runs, one at a time. Without `room`, or when none is left, there are none."""

    def __init__(
        self,
        feed: EventBuffer,
        endpoint: Endpoint,
        events: Events,
        room: StreamSlots | None = None,
        model: str | None = None,
    ) -> None:
        self._feed = feed
        self._endpoint = endpoint
        self._events = events
        self._room = room
        self._model = model
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._last: dict[str, Any] | None = None
        self.is_stream = False  #: the reply to the latest call is, or was
        self.lives = False  #: and has told nothing that calls for a look

    async def open(self, api: Api, start: Start, *, waits: bool = False) -> Reply:
        """The run that the call starts, or lets go on; if its events come as a stream, they are read on from there.

        `start`: one of the SDK's `with_streaming_response`, to be called with what asks for a stream. `waits`: the
        reply may come only when the run has ended, so that the caller limits its time. Raises NotTheApi,
        openai.OpenAIError.
        """
        room = self._room
        if room is None or room.left <= 0 or self._model in room.refused:
            return await self._begin(api, start, streams=False, waits=waits)
        try:
            return await self._begin(api, start, streams=True, waits=waits)
        except openai.APIStatusError as error:
            if not _refuses_streams(error):
                raise
        reply = await self._begin(api, start, streams=False, waits=waits)
        room.refused.add(self._model)
        return reply

    def paced(self, run: RunObservation) -> RunObservation:
        """With a stream that lives beside it, a run is looked at rarely."""
        return replace(run, poll_after_s=RARELY_S) if self.lives else run

    def take_last(self) -> dict[str, Any] | None:
        """The run in the event that ended the stream, to be read once; None if there was none."""
        last, self._last = self._last, None
        return last

    async def run_changed(self) -> None:
        """See Driver.run_changed."""
        await self._news.wait()
        self._news.clear()

    async def close(self) -> None:
        """Ends the stream that is being read, if there is one."""
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait((task,))

    async def _begin(self, api: Api, start: Start, *, streams: bool, waits: bool) -> Reply:
        api.calls += 1
        await self.close()
        self._news.clear()
        self._last, self.is_stream = None, False
        begun: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(
            self._listen(api, partial(start, **self._options(streams=streams, waits=waits)), begun), name="stream"
        )
        try:
            usual_s = self._endpoint.connect_timeout_s + self._endpoint.request_timeout_s
            async with asyncio.timeout(None if waits else usual_s):
                return await begun
        except TimeoutError:
            raise Silent("the stream told of no run in time") from None
        finally:
            if not begun.done() or begun.cancelled():
                await self.close()

    def _options(self, *, streams: bool, waits: bool) -> dict[str, Any]:
        if not streams and not waits:
            return {}
        # No limit between two reads: a run may be silent for long, looks tell of a dead one, and aiohttp sets such a
        # timer anew for all that comes.
        patience_s = self._endpoint.request_timeout_s
        connect_s = self._endpoint.connect_timeout_s
        pool_s = None if waits else patience_s  # who waits for replies holds the connections for long
        timeout = httpx2.Timeout(connect=connect_s, read=None, write=patience_s, pool=pool_s)
        return {"timeout": timeout} | ({"stream": True} if streams else {})

    async def _listen(self, api: Api, start: Start, begun: "asyncio.Future[Reply]") -> None:
        try:
            async with start() as response:
                if response.headers.get("content-type", "").startswith("text/event-stream"):
                    await self._read(response, begun)
                else:
                    begun.set_result(Reply(_object(await response.read()), response.headers))
        except Exception as error:  # whatever a stream runs into, polling goes on
            if begun.done():
                log.info("stream broke off", reason=type(error).__name__)
            elif isinstance(error, openai.OpenAIError | NotTheApi):
                begun.set_exception(error)
            else:
                begun.set_exception(NotTheApi(f"the reply broke off: {type(error).__name__}"))

    async def _read(self, response: AsyncAPIResponse[Any], begun: "asyncio.Future[Reply]") -> None:
        assert self._room is not None
        self._room.left -= 1
        self.is_stream = self.lives = True
        frames = Frames(self._endpoint.reply_limit_bytes)
        try:
            async with aclosing(cast(AsyncGenerator[bytes], response.iter_bytes())) as chunks:
                async for chunk in chunks:
                    for frame in frames.feed(chunk):
                        self._take(frame, begun)
                    if not self.lives:
                        break
                    await _rest(0 if len(chunk) >= _FULL else READ_PAUSE_S, socket_of(response))
                self._news.set()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_END_S):
                        async for _ in chunks:
                            pass
        finally:
            self._room.left += 1
            self.lives = False
            self._news.set()
        if not begun.done():
            raise NotTheApi("the stream ended before it told of a run")

    def _take(self, frame: Frame, begun: "asyncio.Future[Reply]") -> None:
        event, data = name_of(frame), frame.data
        if event in self._events.deltas:
            self._feed.delta(data, self._events.read_delta)
        elif event in self._events.messages:
            message = self._events.read_message(_object(data))
            if message is not None:
                self._feed.message(*message)
        elif event == "error":
            said = redact(read_error(data.decode("utf-8", "replace")).message)
            raise NotTheApi(f"the stream told of an error: {said[:200]}")
        elif event in self._events.runs:
            has_moved = event in self._events.moved
            run = self._events.run_in(_object(data)) if has_moved or not begun.done() else {}
            if not begun.done():
                begun.set_result(Reply(run, {}))
            elif has_moved:
                self._last = run
            if has_moved:  # one that follows may be a lie
                self.lives = False


def _refuses_streams(error: openai.APIStatusError) -> bool:
    """Whether the server may do without a stream what it refused with one."""
    said = read_error(error.response.text)
    is_about_it = said.param == "stream" or _ABOUT_STREAMS.search(said.message)
    return error.status_code in _REFUSING and bool(is_about_it)


def _object(data: bytes) -> dict[str, Any]:
    return parse_object(data.decode("utf-8", "replace"))


async def _rest(pause_s: float, socket: asyncio.ReadTransport | None) -> None:
    """Lets bytes gather in the kernel: to be woken by each delta would cost more than all the rest."""
    if pause_s == 0 or socket is None:
        await asyncio.sleep(pause_s)
        return
    socket.pause_reading()
    await asyncio.sleep(pause_s - asyncio.get_running_loop().time() % pause_s)
    socket.resume_reading()


def socket_of(response: AsyncAPIResponse[Any]) -> asyncio.ReadTransport | None:
    """What a response is read from; None once it has ended, or if an SDK to come hides it: then reading costs more."""
    inside: Any = response.http_response
    for name in ("stream", "_stream", "_aiohttp_response", "connection", "transport"):
        inside = getattr(inside, name, None)
    return inside if isinstance(inside, asyncio.ReadTransport) else None
