"""The events of a stream, each with the time when it is due. Events can be scheduled ahead and withdrawn."""

import json
from abc import ABC, abstractmethod
from collections import deque
from typing import Any

Object = dict[str, Any]
DELTAS = (
    b"event: thread.message.delta",
    b"event: response.output_text.delta",
    b'data: {"choices":[{"index":0,"delta":{"content"',
)
DELTAS_UNTIL_DROPPED = 3


class Frames(ABC):
    closing = b""  #: the last bytes of each stream

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, str, str]] = deque()
        self.released: list[bytes] = []
        self.closed = False  #: no more events will be scheduled

    def schedule(self, at: float, event: str, data: Object) -> None:
        self._waiting.append((at, event, json.dumps(data, ensure_ascii=False, separators=(",", ":"))))

    @abstractmethod
    def changed(self, at: float) -> None:
        """Called when the run or the response has changed its status, at `at`."""

    def next_due(self) -> float | None:
        return self._waiting[0][0] if self._waiting else None

    def release(self, now: float) -> None:
        """Moves all events that are due to `released`."""
        while self._waiting and self._waiting[0][0] <= now:
            _, event, data = self._waiting.popleft()
            self.released.append(self._frame(event, data))

    @property
    def ended(self) -> bool:
        return self.closed and not self._waiting

    def _withdraw_after(self, at: float) -> list[tuple[float, str, str]]:
        """Withdraws the events that are due after `at`, and returns them."""
        later = [each for each in self._waiting if each[0] > at]
        while self._waiting and self._waiting[-1][0] > at:
            self._waiting.pop()
        return later

    def _frame(self, event: str, data: str) -> bytes:
        return f"event: {event}\ndata: {data}\n\n".encode()


class Listener:
    """One client's stream of events from number `first` on. `drops`: its connection is cut after a few deltas."""

    def __init__(self, frames: Frames, first: int = 0, drops: bool = False) -> None:
        self._frames, self._next, self._drops = frames, first, drops
        self._deltas, self.dropped = 0, False

    @property
    def closing(self) -> bytes:
        return self._frames.closing

    def next_due(self) -> float | None:
        return self._frames.next_due()

    def due(self, now: float) -> bytes:
        """Returns the frames that are due and have not been sent to this client."""
        self._frames.release(now)
        first = self._next
        for event in self._frames.released[first:]:
            if self.dropped:
                break
            self._next += 1
            self._deltas += event.startswith(DELTAS)
            self.dropped = self._drops and self._deltas >= DELTAS_UNTIL_DROPPED
        self.dropped = self.dropped or (self._drops and self.ended)
        return b"".join(self._frames.released[first : self._next])

    @property
    def ended(self) -> bool:
        return self._frames.ended and self._next >= len(self._frames.released)
