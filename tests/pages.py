"""What tests read from pages of the dashboard."""

import json
import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import httpx

ACCEPT = {"Accept": "text/html"}


def csrf_of(page: str) -> str:
    """Returns the token that the forms of a page have."""
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', page)
    assert found, "the page has no form"
    return found[1]


def field_of(page: str, name: str) -> str:
    """Returns the value of a hidden field."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, f"the page has no field {name}"
    return unescape(found[1])


def text_of(page: str) -> str:
    """Returns the text of a page, without its tags, with single spaces."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split())


async def changes(http: httpx.AsyncClient, path: str) -> AsyncIterator[tuple[str, Any]]:
    """Yields the events of a page that is open: their kind, and their data."""
    kind = ""
    async with http.stream("GET", path, headers={"Accept": "text/event-stream"}) as stream:
        async for line in stream.aiter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "data" and kind:
                yield kind, json.loads(value) if value else None
