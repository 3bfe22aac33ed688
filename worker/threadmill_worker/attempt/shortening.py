"""Shortens the transcript of a local thread that has become too long. PURE.

An exchange is what a user says and all that follows until the user speaks again: calls of tools, their outputs and the
answer. It stays whole or is dropped whole, because servers refuse a tool's output without its call, and the reverse.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from threadmill.job.message import is_data_url, label

_BETWEEN = len(", ")  #: two messages, in the JSON of a transcript


@dataclass(frozen=True)
class Shortened:
    """The messages that are left."""

    items: tuple[dict[str, Any], ...]
    dropped: int = 0  #: messages that were dropped
    images: int = 0  #: images that were replaced by a text


def shorten(items: Sequence[dict[str, Any]], limit: int) -> Shortened:
    """Returns messages of Chat Completions with at most `limit` characters of JSON, or only those that must stay.

    The last exchange and messages of the system stay. First images that are data URLs are replaced by a text, the
    oldest first; those of the last exchange only if it is too long by itself. Then exchanges are dropped, the oldest
    first.
    """
    if _size(items) <= limit:
        return Shortened(tuple(items))
    kept = list(items)
    *exchanges, last = _exchanges(items)
    older = {at for exchange in exchanges for at in exchange}
    images = _replace_images(kept, sorted(older), _size(kept) - limit)
    images += _replace_images(kept, last, _size([each for at, each in enumerate(kept) if at not in older]) - limit)
    excess, dropped = _size(kept) - limit, set[int]()
    for exchange in exchanges:
        if excess <= 0:
            break
        dropped.update(exchange)
        excess -= sum(len(_json(kept[at])) + _BETWEEN for at in exchange)
    return Shortened(tuple(each for at, each in enumerate(kept) if at not in dropped), len(dropped), images)


def _exchanges(items: Sequence[dict[str, Any]]) -> list[list[int]]:
    """Returns the positions of the messages of each exchange. What comes before a user speaks belongs to the first."""
    exchanges, user_speaks = [list[int]()], False
    for at, item in enumerate(items):
        role = item.get("role")
        if role in ("system", "developer"):
            continue
        if role == "user" and not user_speaks and exchanges[-1]:
            exchanges.append([])
        exchanges[-1].append(at)
        user_speaks = role == "user"
    return exchanges


def _replace_images(items: list[dict[str, Any]], positions: Iterable[int], excess: int) -> int:
    """Replaces images in these messages until `excess` characters are saved. Returns how many were replaced."""
    replaced = 0
    for at in positions:
        content = items[at].get("content")
        parts = list(content) if isinstance(content, list) else []
        for index, part in enumerate(parts):
            text = _text_for(part) if excess > 0 else None
            if text is not None:
                excess -= len(_json(part)) - len(_json(text))
                parts[index], replaced = text, replaced + 1
                items[at] = {**items[at], "content": parts}
    return replaced


def _text_for(part: Any) -> dict[str, Any] | None:
    """Returns the text that replaces an image; None if that saves nothing."""
    image = part.get("image_url") if isinstance(part, dict) else None
    url = image.get("url") if isinstance(image, dict) else None
    if not isinstance(url, str) or not is_data_url(url):
        return None
    text = {"type": "text", "text": f"[An image was here: {label(url)}]"}
    return text if len(_json(text)) < len(_json(part)) else None


def _size(items: Sequence[dict[str, Any]]) -> int:
    return len(_json({"items": items}))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
