"""Reads a thread's messages, for people to look at."""

from dataclasses import dataclass
from typing import Any

import openai

from threadmill.endpoint import Endpoint
from threadmill_worker.actions import Look
from threadmill_worker.drivers.assistants_wire import NotTheApi, blocks_of, parse_id, parse_object
from threadmill_worker.drivers.connection import Client, api_key
from threadmill_worker.drivers.troubles import trouble_of
from threadmill_worker.views import InDoubt, Trouble

_PAGE = 100
_PAGES = 50  # a server that ignores `after` would send the same page for ever


@dataclass(frozen=True)
class Transcript:
    """What was said, oldest first; each message with id, role, created_at, text and the ids of its files."""

    messages: tuple[dict[str, Any], ...]
    complete: bool  #: False: there is more than we read


async def read_transcript(client: Client, endpoint: Endpoint, thread: str) -> Transcript | Trouble:
    """A Trouble in its place: `Gone` when there is no such thread."""
    secret = api_key(endpoint)
    seen: dict[str, dict[str, Any]] = {}
    after: Any = openai.omit
    try:
        for _ in range(_PAGES):
            raw = await client.beta.threads.messages.with_raw_response.list(
                thread, order="asc", limit=_PAGE, after=after
            )
            text = str(raw.text)
            body = parse_object(text.replace(secret, "[key]") if secret else text)
            page = body.get("data")
            if not isinstance(page, list):
                raise NotTheApi("the reply is no list of the API's")
            news = {parse_id(each): _shown(each) for each in page if isinstance(each, dict)}
            if not body.get("has_more") or news.keys() <= seen.keys():
                return Transcript(tuple((seen | news).values()), complete=not body.get("has_more"))
            seen |= news
            after = list(news)[-1]
    except NotTheApi as error:
        return InDoubt(str(error))
    except (openai.OpenAIError, OSError) as error:
        return trouble_of(error, Look(""), secret)
    return Transcript(tuple(seen.values()), complete=False)


def _shown(message: dict[str, Any]) -> dict[str, Any]:
    blocks = blocks_of(message)
    moment = message.get("created_at")
    return {
        "id": message["id"],
        "role": str(message.get("role")),
        "created_at": moment if isinstance(moment, int | float) else None,
        "text": "\n\n".join(text for block in blocks for text in [_text(block)] if text),
        "files": list(dict.fromkeys([*_attached(message), *_linked(blocks)])),
    }


def _text(block: dict[str, Any]) -> str:
    text = block.get("text")
    said = text.get("value") if isinstance(text, dict) else text or block.get("refusal")
    return said if isinstance(said, str) else ""


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
