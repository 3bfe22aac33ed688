"""What tests do with pages of the dashboard, as a browser without JavaScript does."""

import json
import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import httpx

ACCEPT = {"Accept": "text/html"}


class Browser(httpx.AsyncClient):
    """Keeps cookies, and follows no redirects."""

    async def page(self, path: str, status: int = 200, **headers: str) -> str:
        """Returns the HTML of a page."""
        reply = await self.get(path, headers=headers)
        assert (reply.status_code, reply.headers["content-type"]) == (status, "text/html; charset=utf-8"), reply.text
        return reply.text

    async def press(self, path: str, on: str = "/", **fields: str) -> httpx.Response:
        """Sends a form to `path`, with the token that the page `on` has."""
        csrf = csrf_of(await self.page(on))
        return await self.post(path, data={"csrf": csrf, **fields})

    async def sign_in(self, key: str, back_to: str = "/") -> httpx.Response:
        return await self.post("/login", data={"key": key, "next": back_to})


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
        assert stream.headers["content-type"].startswith("text/event-stream"), stream.headers
        async for line in stream.aiter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "data" and kind:
                yield kind, json.loads(value) if value else None
