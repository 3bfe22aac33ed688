"""Sends the events of a run or a response as server-sent events, each when it is due.

A client that disconnects does not stop the run or the response.
"""

import asyncio
from collections.abc import Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from threadmill_emulator.content.frames import Listener
from threadmill_emulator.http.abort import hang_up, is_closed

#: Events due within the shorter time are sent together; the run is advanced at least once in the longer time.
SHORTEST_S, LONGEST_S = 0.02, 0.05


class EventStream(Response):
    media_type = "text/event-stream"

    def __init__(self, clock: Callable[[], float], look: Callable[[], bool], listener: Listener) -> None:
        """`look` advances the run or the response to the current time, and returns whether it still exists."""
        super().__init__(headers={"Cache-Control": "no-cache"})
        del self.headers["content-length"]
        self._clock, self._look, self._listener = clock, look, listener
        #: The bytes that the fault `malformed` cuts off.
        self.body = b"event: created\ndata: {"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        listener = self._listener
        while not is_closed(scope):
            is_there = self._look()
            if said := listener.due(self._clock()):
                await send({"type": "http.response.body", "body": said, "more_body": True})
            if listener.dropped:
                await asyncio.sleep(SHORTEST_S)  # lets the last events be sent first
                await hang_up(scope, receive)
                return
            if listener.ended or not is_there:
                break
            await asyncio.sleep(self._pause_s())
        await send({"type": "http.response.body", "body": listener.closing})

    def _pause_s(self) -> float:
        due = self._listener.next_due()
        if due is None:
            return LONGEST_S
        return min(max(due - self._clock(), SHORTEST_S), LONGEST_S)
