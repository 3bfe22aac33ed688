"""The stream events of a response. They are the same for every client, and a client can resume after a number.

The events between two changes of status are scheduled when the work starts, and withdrawn if the response ends early.
"""

from collections.abc import Callable, Collection

from threadmill_emulator.content.frames import Frames
from threadmill_emulator.errors.api_error import ApiError
from threadmill_emulator.objects.item_events import events
from threadmill_emulator.objects.responses import response_object
from threadmill_emulator.responses.items import Item, shown
from threadmill_emulator.responses.response import Response


class ResponseTranscript(Frames):
    def __init__(self, response: Response, plan: Callable[[], list[Item]], include: Collection[str]) -> None:
        super().__init__()
        self._response, self._plan, self._include = response, plan, include
        self._schedule_object(response.run.created, "response.created")

    def changed(self, at: float) -> None:
        response = self._response
        if response.ended is not None:
            self._end(at)
        elif response.run.status == "queued" and response.asked.background:
            self._schedule_object(at, "response.queued")
        elif response.run.status == "in_progress":
            self._schedule_object(at, "response.in_progress")
            if not response.run.script.hangs and response.run.script.ends in ("completed", "incomplete"):
                self._schedule_output(*response.run.stretch)

    def _schedule_output(self, begins: float, ends: float) -> None:
        made = [shown(item, self._include) for item in self._plan()]
        each = (ends - begins) / (len(made) or 1)
        for index, item in enumerate(made):
            said = events(item, index, self._response.run.script.deltas)
            for number, (event, data) in enumerate(said, start=1):
                self.schedule(begins + each * (index + number / len(said)), event, data)

    def _end(self, at: float) -> None:
        self._withdraw_after(at)
        self.closed, quirks = True, self._response.run.script.quirks
        if "stream_error" in quirks:
            error = ApiError(500, "The server had an error while processing your request.", code="server_error")
            self.schedule(at, "error", {"code": error.code, "message": error.message, "param": None})
        elif "stream_no_done" not in quirks and self._response.status != "cancelled":
            self._schedule_object(at, f"response.{self._response.status}")

    def _schedule_object(self, at: float, event: str) -> None:
        self.schedule(at, event, {"response": response_object(self._response, self._include)})

    def _frame(self, event: str, data: str) -> bytes:
        """Numbers an event when it is released, so that withdrawn events leave no gap."""
        return super()._frame(event, f'{{"type":"{event}","sequence_number":{len(self.released)},{data[1:]}')
