"""Reads the messages of a thread or a conversation, to show them to a user."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from threadmill.job.message import label
from threadmill.job.result import Failure, FailureKind
from threadmill_worker.answer.render import plain
from threadmill_worker.drivers.assistants.message_order import oldest_first
from threadmill_worker.drivers.assistants.replies import blocks_of
from threadmill_worker.drivers.http.api import MOST_ENTRIES, Api
from threadmill_worker.drivers.replies.errors import CALL_ERRORS, Target, call_error_of
from threadmill_worker.drivers.responses.replies import blocks_of as output_blocks
from threadmill_worker.drivers.responses.thread_kinds import find_kind
from threadmill_worker.lifecycle.observations import CallError, Rejected


@dataclass(frozen=True)
class Transcript:
    """The messages, oldest first, each with id, role, created_at, text and the ids of its files."""

    messages: tuple[dict[str, Any], ...]
    complete: bool  #: False: there are more than were read


async def read_thread(api: Api, thread: str) -> Transcript | CallError:
    """Returns the transcript, or a CallError: `Gone` if the thread does not exist."""
    return await _read(api, ("threads", thread, "messages"), _shown)


async def read_conversation(api: Api, thread: str) -> Transcript | CallError:
    """Returns the transcript of a conversation, without reasoning and tool calls, or a CallError."""
    kind = await find_kind(api, thread)
    if kind == "chain":
        reason = (
            f"{thread} is a response, not a conversation, and its messages cannot be read: "
            "`threadmill jobs result JOB` shows the answer of a job"
        )
        return Rejected(Failure(kind=FailureKind.UNSUPPORTED, message=reason))
    if isinstance(kind, CallError):
        return kind
    return await _read(api, ("conversations", thread, "items"), _shown_item)


async def _read(
    api: Api,
    path: Sequence[str],
    shown: Callable[[dict[str, Any]], dict[str, Any] | None],
) -> Transcript | CallError:
    try:
        listed = [each async for each in api.pages(partial(api.http.get, *path), order="asc")]
    except CALL_ERRORS as error:
        return call_error_of(error, Target.OBJECT)
    messages = tuple(each for entry in oldest_first(listed) if (each := shown(entry)))
    return Transcript(messages, complete=len(listed) < MOST_ENTRIES)


def _shown(message: dict[str, Any]) -> dict[str, Any]:
    blocks = blocks_of(message)
    moment = message.get("created_at")
    return {
        "id": message["id"],
        "role": str(message.get("role")),
        "created_at": moment if isinstance(moment, int | float) else None,
        "text": plain(blocks),
        "files": list(dict.fromkeys([*_attached(message), *_linked(blocks)])),
    }


def _shown_item(item: dict[str, Any]) -> dict[str, Any] | None:
    """Returns an item as a message of the Assistants API; None if it is not a message."""
    if item.get("type") != "message":
        return None
    parts = blocks_of(item)
    files = [
        {"file_id": part.get("file_id") or part.get("filename")} for part in parts if part.get("type") == "input_file"
    ]
    return _shown({**item, "content": [block for part in parts for block in _blocks(part)], "attachments": files})


def _blocks(part: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns a part of an item as content blocks of the Assistants API."""
    match part.get("type"):
        case "text" if isinstance(part.get("text"), dict):  # a content that was a string
            return [part]
        case "text" | "input_text":
            return [{"type": "text", "text": {"value": str(part.get("text") or ""), "annotations": []}}]
        case "input_image":
            url = part.get("image_url")
            return [{"image_file": {"file_id": part.get("file_id"), "url": url and label(str(url))}}]
        case _:
            return list(output_blocks({"output": [{"type": "message", "content": [part]}]}))


def _attached(message: dict[str, Any]) -> list[str]:
    """Returns the ids of the files attached to the message."""
    attachments = message.get("attachments")
    entries = attachments if isinstance(attachments, list) else []
    return [str(each["file_id"]) for each in entries if isinstance(each, dict) and each.get("file_id")]


def _linked(blocks: list[dict[str, Any]]) -> list[str]:
    """Returns the ids of the images in the message, and of the files that the model made."""
    found = []
    for block in blocks:
        text = block.get("text")
        annotations = text.get("annotations") if isinstance(text, dict) else None
        parts = [block.get("image_file"), block.get("image_url")]
        parts += [each.get("file_path") for each in annotations or () if isinstance(each, dict)]
        found += [part.get("file_id") or part.get("url") for part in parts if isinstance(part, dict)]
    return [str(each) for each in found if each]
