"""Messages, and the input they make up for a run."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from threadmill_emulator.ids import new_id
from threadmill_emulator.markers import without_markers

Block = dict[str, Any]


@dataclass
class Message:
    thread_id: str
    created: float
    role: str
    content: list[Block] | str  #: a plain string only under the quirk of that name
    id: str = field(default_factory=lambda: new_id("msg"))
    attachments: list[dict[str, Any]] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    assistant_id: str | None = None
    run_id: str | None = None
    incomplete_reason: str | None = None

    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "\n\n".join(block["text"]["value"] for block in self.content if block["type"] == "text")

    def blocks(self) -> list[Block]:
        return [] if isinstance(self.content, str) else self.content


@dataclass(frozen=True)
class Prompt:
    """The user's last input: all user messages since the assistant last spoke."""

    marked: str  #: the text as sent, scenario markers included
    images: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return without_markers(self.marked)


def last_input(messages: Iterable[Message], file_name: Callable[[str], str]) -> Prompt:
    """`messages` newest first."""
    turn: list[Message] = []
    for message in messages:
        if message.role == "assistant":
            break
        turn.insert(0, message)
    images, files = [], []
    for message in turn:
        for block in message.blocks():
            if block["type"] == "image_url":
                images.append(_described(block["image_url"]["url"]))
            elif block["type"] == "image_file":
                images.append(file_name(block["image_file"]["file_id"]))
        files += [file_name(attachment["file_id"]) for attachment in message.attachments]
    return Prompt("\n\n".join(filter(None, (m.text() for m in turn))), tuple(images), tuple(files))


def _described(url: str) -> str:
    if not url.startswith("data:"):
        return url
    kind, _, data = url.removeprefix("data:").partition(";base64,")
    return f"{kind}, {len(data) * 3 // 4 - data[-2:].count('='):,} bytes"
