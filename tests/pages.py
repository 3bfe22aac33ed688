"""A browser of the dashboard without JavaScript: it keeps cookies, asks for pages, and sends forms."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from typing import Any

import httpx

_CSRF = re.compile(r'name="csrf" value="(\w+)"')


class Browser(httpx.AsyncClient):
    """Follows no redirects."""

    async def page(self, path: str, status: int = 200, **headers: str) -> str:
        """Returns the HTML of a page."""
        reply = await self.get(path, headers=headers)
        assert (reply.status_code, reply.headers["content-type"]) == (status, "text/html; charset=utf-8"), reply.text
        return reply.text

    async def press(self, path: str, on: str = "/", **fields: str) -> httpx.Response:
        """Sends the form that leads to `path`, as the page `on` has it."""
        html = await self.page(on)
        found = _CSRF.search(html)
        assert found, f"{on} has no form"
        return await self.post(path, data={"csrf": found[1], **fields})

    async def sign_in(self, key: str, back_to: str = "/") -> httpx.Response:
        return await self.post("/login", data={"key": key, "next": back_to})

    @asynccontextmanager
    async def events(self, path: str = "/") -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
        """Opens the events of a page: pairs of a name and the data."""
        async with self.stream("GET", path, headers={"Accept": "text/event-stream"}) as reply:
            assert reply.headers["content-type"].startswith("text/event-stream"), reply.headers
            yield _parsed(reply)


async def _parsed(reply: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    name = ""
    async for line in reply.aiter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            data = line.removeprefix("data: ")
            yield name, json.loads(data) if data else None


def text_of(html: str) -> str:
    """Returns the text of a page, without its tags."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())
