"""The output of a run's last stretch, with times: calls of the server's own tools, then messages."""

from dataclasses import dataclass, field
from typing import Any

from threadmill_emulator.content.deltas import assembled, deltas
from threadmill_emulator.content.messages import Block, Message
from threadmill_emulator.ids import new_id

Object = dict[str, Any]
TOOLS_SHARE = 0.4  #: the share of the stretch that tool calls take, if there are any


@dataclass
class ServerStep:
    """A call of code_interpreter or file_search, which the server executes itself."""

    call: Object  #: as step_details.tool_calls shows it
    began: float = 0.0
    ended: float = 0.0
    id: str = field(default_factory=lambda: new_id("step"))


@dataclass
class Work:
    steps: list[ServerStep]
    messages: list[Message]

    def spread(self, begins: float, ends: float) -> None:
        """Sets the times: steps and messages follow each other from `begins` to `ends` without a gap."""
        tools = (ends - begins) * (TOOLS_SHARE if self.messages else 1) if self.steps else 0.0
        at = begins
        for number, step in enumerate(self.steps, start=1):
            step.began, step.ended = at, begins + tools * number / len(self.steps)
            at = step.ended
        writing = at
        for number, message in enumerate(self.messages, start=1):
            message.created = at
            message.ended = min(ends, writing + (ends - writing) * number / len(self.messages))
            at = message.ended

    def cut_off(self, at: float, reason: str, count: int | None) -> list[Message]:
        """Returns the messages begun by `at`, cut off at what the client of a stream has read by then."""
        begun = [message for message in self.messages if message.created <= at]
        for message in begun:
            if message.ended is not None and message.ended > at:
                message.content = assembled([part for moment, part in timed_deltas(message, count) if moment <= at])
                message.incomplete_reason, message.ended = reason, at
        return begun


def timed_deltas(message: Message, count: int | None) -> list[tuple[float, Block]]:
    """Returns the deltas of a message with their times, spread evenly over the time of its writing."""
    parts = deltas(message.blocks(), count)
    ends = message.created if message.ended is None else message.ended
    each = (ends - message.created) / len(parts) if parts else 0.0
    return [(min(ends, message.created + each * number), part) for number, part in enumerate(parts, start=1)]
