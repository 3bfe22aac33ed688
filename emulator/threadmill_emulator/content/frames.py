"""Events of a stream, each with the moment it is due; what is said ahead can be struck out again."""

import json
from abc import ABC, abstractmethod
from collections import deque
from typing import Any

Object = dict[str, Any]
DELTAS = (b"event: thread.message.delta", b"event: response.output_text.delta")
DELTAS_UNTIL_DROPPED = 3


class Frames(ABC):
    closing = b""  #: what is said when nothing more comes

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, str, str]] = deque()
        self.told: list[bytes] = []
        self.over = False  #: nothing more will come

    def say(self, at: float, event: str, data: Object) -> None:
        self._waiting.append((at, event, json.dumps(data, ensure_ascii=False, separators=(",", ":"))))

    @abstractmethod
    def changed(self, at: float) -> None:
        """What is told of is in another status since `at`."""

    def next_due(self) -> float | None:
        return self._waiting[0][0] if self._waiting else None

    def tell(self, now: float) -> None:
        """All that is due is told."""
        while self._waiting and self._waiting[0][0] <= now:
            _, event, data = self._waiting.popleft()
            self.told.append(self._framed(event, data))

    @property
    def ended(self) -> bool:
        return self.over and not self._waiting

    def _struck_out(self, at: float) -> list[tuple[float, str, str]]:
        """What was to be said later than `at`, and is not said now."""
        later = [each for each in self._waiting if each[0] > at]
        while self._waiting and self._waiting[-1][0] > at:
            self._waiting.pop()
        return later

    def _framed(self, event: str, data: str) -> bytes:
        return f"event: {event}\ndata: {data}\n\n".encode()


class Listener:
    """One stream of them, from the one numbered `first` on. `drops`: its connection is cut after a few deltas."""

    def __init__(self, frames: Frames, first: int = 0, drops: bool = False) -> None:
        self._frames, self._next, self._drops = frames, first, drops
        self._deltas, self.dropped = 0, False

    @property
    def closing(self) -> bytes:
        return self._frames.closing

    def next_due(self) -> float | None:
        return self._frames.next_due()

    def due(self, now: float) -> bytes:
        """All that is due and was not yet said here."""
        self._frames.tell(now)
        first = self._next
        for event in self._frames.told[first:]:
            if self.dropped:
                break
            self._next += 1
            self._deltas += event.startswith(DELTAS)
            self.dropped = self._drops and self._deltas >= DELTAS_UNTIL_DROPPED
        self.dropped = self.dropped or (self._drops and self.ended)
        return b"".join(self._frames.told[first : self._next])

    @property
    def ended(self) -> bool:
        return self._frames.ended and self._next >= len(self._frames.told)
