"""What the events of a stream mean, by their names: see assistants/events.py and responses/events.py. PURE."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from threadmill_worker.drivers.json import parse_object
from threadmill_worker.drivers.streaming.sse import Frame
from threadmill_worker.live import ReadDelta

Object = dict[str, Any]


@dataclass(frozen=True)
class Events:
    """The events of one wire that mean something to us; all others are passed over unread."""

    runs: frozenset[str]  #: tell how the run is
    moved: frozenset[str]  #: those of them that call for a look
    deltas: frozenset[str]
    messages: frozenset[str]  #: may tell of a complete message
    run_in: Callable[[Object], Object]
    read_delta: ReadDelta
    read_message: Callable[[Object], tuple[str, str] | None]  #: id and text; None: it is something else


def name_of(frame: Frame) -> str:
    """The event's name, which some servers give in the data alone."""
    if frame.event or not frame.data.startswith(b"{"):
        return frame.event
    return str(parse_object(frame.data.decode("utf-8", "replace")).get("type"))
