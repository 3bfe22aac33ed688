"""What the events of a stream tell on each wire, by their names. PURE.

Sources: AssistantStreamEvent and ResponseStreamEvent of the API references.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from threadmill_worker.drivers import responses_wire
from threadmill_worker.drivers.assistants_wire import as_dict, parse_delta, parse_id, parse_object, text_in
from threadmill_worker.drivers.sse import Frame
from threadmill_worker.lifecycle.observations import ENDED
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


def _response_delta(data: bytes) -> tuple[str, str]:
    """See parse_delta."""
    try:
        body = json.loads(data)
        return str(body["item_id"]), str(body["delta"] or "")
    except (ValueError, RecursionError, KeyError, TypeError):
        return "", ""


def _response_message(body: Object) -> tuple[str, str] | None:
    item = as_dict(body.get("item"))
    if item.get("type") != "message":
        return None
    return parse_id(item), text_in({"content": list(responses_wire.blocks_of({"output": [item]}))})


_RUN_MOVED = frozenset(f"thread.run.{status}" for status in (*ENDED, "requires_action"))
_RESPONSE_MOVED = frozenset(f"response.{status}" for status in ("completed", "failed", "incomplete", "cancelled"))

ASSISTANTS = Events(
    runs=_RUN_MOVED | {f"thread.run.{status}" for status in ("created", "queued", "in_progress", "cancelling")},
    moved=_RUN_MOVED,
    deltas=frozenset({"thread.message.delta"}),
    messages=frozenset({"thread.message.completed", "thread.message.incomplete"}),
    run_in=lambda body: body,
    read_delta=parse_delta,
    read_message=lambda body: (parse_id(body), text_in(body)),
)

RESPONSES = Events(
    runs=_RESPONSE_MOVED | {f"response.{status}" for status in ("created", "queued", "in_progress")},
    moved=_RESPONSE_MOVED,
    deltas=frozenset({"response.output_text.delta", "response.refusal.delta"}),
    messages=frozenset({"response.output_item.done"}),
    run_in=lambda body: as_dict(body.get("response")),
    read_delta=_response_delta,
    read_message=_response_message,
)
