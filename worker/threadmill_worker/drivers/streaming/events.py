"""The meaning of stream events by their names: see assistants/events.py and responses/events.py. PURE."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from threadmill_worker.drivers.replies.json import parse_object
from threadmill_worker.drivers.streaming.sse import Frame
from threadmill_worker.live.buffer import ReadDelta

Object = dict[str, Any]


@dataclass(frozen=True)
class Events:
    """The names of the events of one wire, and how to read them. Other events are ignored."""

    runs: frozenset[str]  #: events with the state of the run
    changes: frozenset[str]  #: events of `runs` after which the run is polled
    deltas: frozenset[str]  #: events with a piece of a message
    messages: frozenset[str]  #: events with a complete item, which may be a message
    run_in: Callable[[Object], Object]
    read_delta: ReadDelta
    read_message: Callable[[Object], tuple[str, str] | None]  #: returns id and text; None: it is no message


def name_of(frame: Frame) -> str:
    """Returns the name of the event. Some servers send it only in the data."""
    if frame.event or not frame.data.startswith(b"{"):
        return frame.event
    return str(parse_object(frame.data.decode("utf-8", "replace")).get("type"))
