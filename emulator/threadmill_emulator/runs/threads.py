"""Threads with their messages and runs, and assistants."""

from dataclasses import dataclass, field
from typing import Any

from threadmill_emulator.content.messages import Message
from threadmill_emulator.errors.api_error import not_found
from threadmill_emulator.ids import new_id
from threadmill_emulator.runs.run import Run


@dataclass
class Assistant:
    created: float
    settings: dict[str, Any]  #: every field of the wire object but id, object and created_at
    id: str = field(default_factory=lambda: new_id("asst"))


@dataclass
class Thread:
    created: float
    metadata: dict[str, str]
    tool_resources: dict[str, Any]
    id: str = field(default_factory=lambda: new_id("thread"))
    messages: dict[str, Message] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    active: Run | None = None  #: the run that locks the thread

    def add(self, message: Message) -> Message:
        self.messages[message.id] = message
        return message

    def run(self, id: str) -> Run:
        if id not in self.runs:
            raise not_found("run", id)
        return self.runs[id]

    @property
    def has_picture(self) -> bool:
        """Whether an answer on it contains an image."""
        blocks = [block for each in self.messages.values() if each.role == "assistant" for block in each.blocks()]
        return any(block["type"] == "image_file" for block in blocks)

    @property
    def quirks(self) -> frozenset[str]:
        return frozenset().union(*(run.script.quirks for run in self.runs.values()))
