"""Reads a thread's messages, for people to look at."""

from dataclasses import dataclass
from typing import Any

import openai

from threadmill_worker.actions import Look
from threadmill_worker.drivers.api import MOST_ENTRIES, Api
from threadmill_worker.drivers.assistants_wire import NotTheApi, blocks_of
from threadmill_worker.drivers.troubles import trouble_of
from threadmill_worker.footnotes import plain
from threadmill_worker.views import InDoubt, Trouble


@dataclass(frozen=True)
class Transcript:
    """What was said, oldest first; each message with id, role, created_at, text and the ids of its files."""

    messages: tuple[dict[str, Any], ...]
    complete: bool  #: False: there is more than we read


async def read_transcript(api: Api, thread: str) -> Transcript | Trouble:
    """A Trouble in its place: `Gone` when there is no such thread."""
    list_messages = api.client.beta.threads.messages.with_raw_response.list
    try:
        messages = tuple([_shown(each) async for each in api.pages(list_messages, thread_id=thread, order="asc")])
    except NotTheApi as error:
        return InDoubt(str(error))
    except (openai.OpenAIError, OSError) as error:
        return trouble_of(error, Look(""), api.key)
    return Transcript(messages, complete=len(messages) < MOST_ENTRIES)


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


def _attached(message: dict[str, Any]) -> list[str]:
    """The files that were sent along."""
    attachments = message.get("attachments")
    entries = attachments if isinstance(attachments, list) else []
    return [str(each["file_id"]) for each in entries if isinstance(each, dict) and each.get("file_id")]


def _linked(blocks: list[dict[str, Any]]) -> list[str]:
    """The images shown, and the files the model made."""
    found = []
    for block in blocks:
        text = block.get("text")
        annotations = text.get("annotations") if isinstance(text, dict) else None
        parts = [block.get("image_file"), block.get("image_url")]
        parts += [each.get("file_path") for each in annotations or () if isinstance(each, dict)]
        found += [part.get("file_id") or part.get("url") for part in parts if isinstance(part, dict)]
    return [str(each) for each in found if each]
