"""The messages of a request as the messages of a job. PURE.

Messages of the system and of the developer become additional instructions, so they must come first.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from threadmill.job.message import Message, is_path
from threadmill.job.model import explain
from threadmill_gateway.openai.errors import ApiError, invalid, missing, unsupported
from threadmill_gateway.openai.fields import Fields

#: Reads a part of a message as a part of a job's message.
ReadPart = Callable[[Fields], dict[str, Any]]

_ROLES = ("user", "assistant", "system", "developer")


@dataclass(frozen=True)
class Conversation:
    messages: tuple[Message, ...]
    instructions: str | None  #: what the messages of the system and the developer say

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of its job."""
        return {"messages": self.messages, "additional_instructions": self.instructions}


def read_conversation(
    items: Iterable[Fields], name: str, read_item: Callable[[Fields], None], read_part: ReadPart
) -> Conversation:
    """Returns the messages of `items`. `name`: the parameter; `read_item`: reads all but role and content."""
    messages: list[Message] = []
    instructions: list[str] = []
    for item in items:
        read_item(item)
        role = _role(item)
        content = _content(item, read_part)
        item.end()
        message = _message({"role": role if role == "assistant" else "user", "content": content}, item)
        if role in ("user", "assistant"):
            messages.append(message)
        elif messages or message.images or message.file_ids:
            raise _misplaced(item, role)
        else:
            instructions.append(message.text)
    if not messages:
        raise invalid(name, "has no message of the user: add one.")
    return Conversation(tuple(messages), "\n\n".join(instructions) or None)


def _role(item: Fields) -> str:
    role = item.word("role", *_ROLES)
    if role is None:
        raise missing(item.path("role"))
    return role


def _content(item: Fields, read_part: ReadPart) -> str | list[dict[str, Any]]:
    value = item.any("content")
    if value is None:
        raise missing(item.path("content"))
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise invalid(item.path("content"), "must be a string or a list of parts.")
    parts = []
    for at, each in enumerate(value):
        part = Fields(each, f"{item.path('content')}[{at}]")
        parts.append(read_part(part))
        part.end()
    return parts


def _message(value: dict[str, Any], item: Fields) -> Message:
    try:
        return Message.model_validate(value)
    except ValidationError as error:
        raise invalid(item.path("content"), f"{explain(error)}.") from None


def _misplaced(item: Fields, role: str) -> ApiError:
    return unsupported(
        item.path("role"), f"is {role!r} after a message of the user, or has an image: put its text first."
    )


def text_part(text: str) -> dict[str, Any]:
    """Returns a text as a part of a job's message."""
    return {"type": "text", "text": text}


def image_part(fields: Fields, name: str, url: str) -> dict[str, Any]:
    """Returns an image as a part of a job's message. `fields` may have its `detail`; `name`: the field of the URL."""
    if is_path(url):  # workers would read it from their own disks
        raise invalid(fields.path(name), "must be an https URL or a data URL.")
    return {"type": "image_url", "image_url": {"url": url, "detail": detail(fields)}}


def detail(fields: Fields) -> str:
    """Returns the `detail` of an image."""
    return fields.word("detail", "auto", "low", "high") or "auto"
