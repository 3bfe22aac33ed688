"""The events of a response's stream. PURE.

Source: ResponseStreamEvent of the API reference.
"""

import json

from threadmill_worker.answer.annotations import text_of
from threadmill_worker.drivers.replies.json import as_dict, parse_id
from threadmill_worker.drivers.responses.replies import blocks_of
from threadmill_worker.drivers.streaming.events import Events, Object


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
    return parse_id(item), "".join(map(text_of, blocks_of({"output": [item]})))


_CHANGES = frozenset(f"response.{status}" for status in ("completed", "failed", "incomplete", "cancelled"))


RESPONSES = Events(
    runs=_CHANGES | {f"response.{status}" for status in ("created", "queued", "in_progress")},
    changes=_CHANGES,
    deltas=frozenset({"response.output_text.delta", "response.refusal.delta"}),
    messages=frozenset({"response.output_item.done"}),
    run_in=lambda body: as_dict(body.get("response")),
    read_delta=_response_delta,
    read_message=_response_message,
)
