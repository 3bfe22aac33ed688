"""The events of a run's stream. PURE.

Source: AssistantStreamEvent of the API reference.
"""

from threadmill_worker.drivers.assistants.replies import parse_delta, text_in
from threadmill_worker.drivers.replies.json import parse_id
from threadmill_worker.drivers.streaming.events import Events
from threadmill_worker.lifecycle.observations import ENDED

_CHANGES = frozenset(f"thread.run.{status}" for status in (*ENDED, "requires_action"))

ASSISTANTS = Events(
    runs=_CHANGES | {f"thread.run.{status}" for status in ("created", "queued", "in_progress", "cancelling")},
    changes=_CHANGES,
    deltas=frozenset({"thread.message.delta"}),
    messages=frozenset({"thread.message.completed", "thread.message.incomplete"}),
    run_in=lambda body: body,
    read_delta=parse_delta,
    read_message=lambda body: (parse_id(body), text_in(body)),
)
