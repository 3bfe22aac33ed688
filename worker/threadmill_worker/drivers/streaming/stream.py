"""Reads a run's event stream: publishes its text, and reports when the run should be polled.

Streams are not reliable: some break off, end without an event, or report an end that did not happen. So polling
continues, and each reported change is followed by a poll. The poll needs no call if the last event of the stream
contains the whole run.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import aiohttp
import openai
import structlog

from threadmill.secrets.redaction import redact
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill_worker.drivers.http.api import Api, Reply
from threadmill_worker.drivers.http.calls import Post, read_body
from threadmill_worker.drivers.replies.error_bodies import read_error
from threadmill_worker.drivers.replies.json import NotTheApi, parse_object
from threadmill_worker.drivers.streaming.events import Events, name_of
from threadmill_worker.drivers.streaming.pacing import pause_after, read_to_end
from threadmill_worker.drivers.streaming.sse import Frame, Frames
from threadmill_worker.lifecycle.observations import RunObservation
from threadmill_worker.live.buffer import EventBuffer

log = structlog.get_logger(__name__)

#: Seconds between two polls of a run whose stream is open.
RARELY_S = 10.0

#: Statuses of a server that refuses to stream: 422 is FastAPI's, 501 means that it is not implemented.
_REFUSING = frozenset({400, 422, 501})

#: OGX: "OGX does not yet support 'stream' and 'background' together."; not an "upstream error".
_ABOUT_STREAMS = re.compile(r"\bstream", re.IGNORECASE)


class Silent(NotTheApi):
    """A stream has not shown its run in time."""


class StreamSlots:
    """Limits the streams of an endpoint: each holds a connection for as long as its run lasts."""

    def __init__(self, limit: int) -> None:
        self.left = limit
        self.refused: set[str | None] = set()  #: models whose runs the server does not stream


class EventStream:
    """The streams of a job's runs, one at a time. Without `slots`, or if none is left, replies are not streams.

    `buffer` receives the text. `model`: that of the runs, if it is known.
    """

    def __init__(
        self,
        buffer: EventBuffer,
        endpoint: Endpoint,
        events: Events,
        slots: StreamSlots | None = None,
        model: str | None = None,
    ) -> None:
        self._buffer = buffer
        self._endpoint = endpoint
        self._events = events
        self._slots = slots
        self._model = model
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._last: dict[str, Any] | None = None
        self.is_stream = False  #: whether the latest reply is, or was, a stream
        self.is_open = False  #: whether it is being read and has reported no change of the run

    async def open(self, api: Api, post: Post, *, waits: bool = False) -> Reply:
        """Starts or continues a run and returns it. If the reply is a stream, its events are read in the background.

        `waits`: the reply may come only when the run has ended, so that the caller limits its time. Raises NotTheApi,
        openai.OpenAIError.
        """
        await self.close()
        self._changed.clear()
        self._last, self.is_stream = None, False
        slots = self._slots
        if slots is None or slots.left <= 0 or self._model in slots.refused:
            return await api.call(api.http.send(post, waits=waits))
        try:
            return await self._begin(api, post, waits=waits)
        except openai.APIStatusError as error:
            if not _refuses_streams(error):
                raise
        reply = await api.call(api.http.send(post, waits=waits))
        slots.refused.add(self._model)
        return reply

    def paced(self, run: RunObservation) -> RunObservation:
        """Returns the run with a long poll delay while its stream is open."""
        return replace(run, poll_after_s=RARELY_S) if self.is_open else run

    def take_last(self) -> dict[str, Any] | None:
        """Returns the run in the event that ended the stream, once; None if there was none."""
        last, self._last = self._last, None
        return last

    async def run_changed(self) -> None:
        """See Driver.run_changed."""
        await self._changed.wait()
        self._changed.clear()

    async def close(self) -> None:
        """Ends the stream, if one is open."""
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait((task,))

    async def _begin(self, api: Api, post: Post, *, waits: bool) -> Reply:
        first: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._listen(api, post, first, waits=waits), name="stream")
        try:
            usual_s = self._endpoint.connect_timeout_s + self._endpoint.request_timeout_s
            with api.counting():
                async with asyncio.timeout(None if waits else usual_s):
                    reply = await first
            api.headers = reply.headers
            return reply
        except TimeoutError:
            raise Silent("the stream showed no run in time") from None
        finally:
            if not first.done() or first.cancelled():
                await self.close()

    async def _listen(self, api: Api, post: Post, first: "asyncio.Future[Reply]", *, waits: bool) -> None:
        try:
            async with api.http.stream(post, waits=waits) as reply:
                if reply.headers.get("content-type", "").startswith("text/event-stream"):
                    await self._read(reply, first)
                else:
                    body = await read_body(reply, self._endpoint.reply_limit_bytes)
                    first.set_result(Reply(_object(body), reply.headers))
        except Exception as error:  # polling continues after any error of a stream
            if first.done():
                log.info("stream ended early", reason=type(error).__name__)
            elif isinstance(error, openai.OpenAIError | NotTheApi):
                first.set_exception(error)
            else:
                first.set_exception(NotTheApi(f"the reply broke off: {type(error).__name__}"))

    async def _read(self, reply: aiohttp.ClientResponse, first: "asyncio.Future[Reply]") -> None:
        assert self._slots is not None
        self._slots.left -= 1
        self.is_stream = self.is_open = True
        frames = Frames(self._endpoint.reply_limit_bytes)
        try:
            while self.is_open and (chunk := await reply.content.readany()):
                for frame in frames.feed(chunk):
                    self._take(frame, reply.headers, first)
                if self.is_open:
                    await pause_after(chunk)
            self._changed.set()
            await read_to_end(reply)
        finally:
            self._slots.left += 1
            self.is_open = False
            self._changed.set()
        if not first.done():
            raise NotTheApi("the stream ended before it showed a run")

    def _take(self, frame: Frame, headers: Mapping[str, str], first: "asyncio.Future[Reply]") -> None:
        event, data = name_of(frame), frame.data
        if event in self._events.deltas:
            self._buffer.delta(data, self._events.read_delta)
        elif event in self._events.messages:
            message = self._events.read_message(_object(data))
            if message is not None:
                self._buffer.message(*message)
        elif event == "error":
            reason = redact(read_error(data.decode("utf-8", "replace")).message)
            raise NotTheApi(f"the stream reported an error: {reason[:200]}")
        elif event in self._events.runs:
            has_changed = event in self._events.changes
            run = self._events.run_in(_object(data)) if has_changed or not first.done() else {}
            if not first.done():
                first.set_result(Reply(run, headers))
            elif has_changed:
                self._last = run
            if has_changed:  # events after it may be wrong
                self.is_open = False


def _refuses_streams(error: openai.APIStatusError) -> bool:
    """Whether the server may accept the call without a stream."""
    said = read_error(error.response.text)
    is_about_it = said.param == "stream" or _ABOUT_STREAMS.search(said.message)
    return error.status_code in _REFUSING and bool(is_about_it)


def _object(data: bytes) -> dict[str, Any]:
    return parse_object(data.decode("utf-8", "replace"))
