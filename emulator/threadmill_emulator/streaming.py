"""Sends a transcript as server-sent events: one loop per stream, which wakes when something may be due.

The run does not know of it: a client that goes away leaves it running.
"""

import asyncio

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from threadmill_emulator.connection import hang_up, is_closed
from threadmill_emulator.threads import Thread
from threadmill_emulator.transcript import Transcript
from threadmill_emulator.world import World

#: Events due within the shorter time leave together; after the longer the run is looked at again in any case.
SHORTEST_S, LONGEST_S = 0.02, 0.05


class EventStream(Response):
    media_type = "text/event-stream"

    def __init__(self, world: World, thread: Thread, transcript: Transcript) -> None:
        super().__init__(headers={"Cache-Control": "no-cache"})
        del self.headers["content-length"]
        self._world, self._thread, self._transcript = world, thread, transcript
        #: What a fault that cuts answers off has to cut.
        self.body = b"event: thread.run.created\ndata: {"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        transcript = self._transcript
        while not is_closed(scope):
            self._world.settle(self._thread)
            if said := transcript.due(self._world.clock()):
                await send({"type": "http.response.body", "body": said, "more_body": True})
            if transcript.dropped:
                await asyncio.sleep(SHORTEST_S)  # what was said is to leave first
                await hang_up(scope, receive)
                return
            if transcript.ended or self._thread.id not in self._world.threads:
                break
            await asyncio.sleep(self._pause_s())
        await send({"type": "http.response.body", "body": transcript.closing})

    def _pause_s(self) -> float:
        due = self._transcript.next_due()
        if due is None:
            return LONGEST_S
        return min(max(due - self._world.clock(), SHORTEST_S), LONGEST_S)
