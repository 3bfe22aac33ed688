"""Messages, and the input of a run that they contain."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from threadmill_emulator.content.images import described
from threadmill_emulator.ids import new_id
from threadmill_emulator.scripting.markers import without_markers
from threadmill_emulator.storage.files import Files

Block = dict[str, Any]


@dataclass
class Message:
    thread_id: str
    created: float  #: when its first part was written
    role: str
    content: list[Block] | str  #: a string with the quirk `string_content`
    id: str = field(default_factory=lambda: new_id("msg"))
    attachments: list[dict[str, Any]] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    assistant_id: str | None = None
    run_id: str | None = None
    incomplete_reason: str | None = None
    ended: float | None = None  #: when it was completed or cut off; None: when it was created

    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "\n\n".join(block["text"]["value"] for block in self.content if block["type"] == "text")

    def blocks(self) -> list[Block]:
        return [] if isinstance(self.content, str) else self.content


@dataclass(frozen=True)
class Prompt:
    """The user's last input: all user messages after the last assistant message."""

    marked: str  #: the text as sent, scenario markers included
    images: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return without_markers(self.marked)


def last_input(messages: Iterable[Message], stored: Files, *, sees_image_files: bool = True) -> Prompt:
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
                images.append(seen_by_url(block["image_url"]["url"]))
            elif block["type"] == "image_file" and sees_image_files:
                images.append(seen(block["image_file"]["file_id"], stored))
        files += [stored.name(attachment["file_id"]) for attachment in message.attachments]
    return Prompt("\n\n".join(filter(None, (m.text() for m in turn))), tuple(images), tuple(files))


def seen_by_url(url: str) -> str:
    if not url.startswith("data:"):
        return url
    kind, _, data = url.removeprefix("data:").partition(";base64,")
    return described(base64.b64decode(data), kind)


def seen(file_id: str, stored: Files) -> str:
    if file_id not in stored:
        return file_id
    file = stored.get(file_id)
    return f"{file.name}, {described(file.data)}"
