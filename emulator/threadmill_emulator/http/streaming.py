"""Sends what is told of a run or a response as server-sent events: one loop per stream, awake when something is due.

The run, or the response, does not know of it: a client that goes away leaves it running.
"""

import asyncio
from collections.abc import Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from threadmill_emulator.content.frames import Listener
from threadmill_emulator.http.abort import hang_up, is_closed

#: Events due within the shorter time leave together; after the longer the run is looked at again in any case.
SHORTEST_S, LONGEST_S = 0.02, 0.05


class EventStream(Response):
    media_type = "text/event-stream"

    def __init__(self, clock: Callable[[], float], look: Callable[[], bool], listener: Listener) -> None:
        """`look` makes up for the time since the last look, and says whether what is told of is still there."""
        super().__init__(headers={"Cache-Control": "no-cache"})
        del self.headers["content-length"]
        self._clock, self._look, self._listener = clock, look, listener
        #: What a fault that cuts answers off has to cut.
        self.body = b"event: created\ndata: {"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        listener = self._listener
        while not is_closed(scope):
            is_there = self._look()
            if said := listener.due(self._clock()):
                await send({"type": "http.response.body", "body": said, "more_body": True})
            if listener.dropped:
                await asyncio.sleep(SHORTEST_S)  # what was said is to leave first
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
