"""A webhook of the test, which records what it gets."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route


@dataclass
class Hook:
    """Replies with the given status codes, then with 200."""

    url: str = ""
    requests: list[Any] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    delay_s: float = 0

    async def take(self, request):
        self.requests.append((request.headers, json.loads(await request.body())))
        await asyncio.sleep(self.delay_s)
        code = self.answers.pop(0) if self.answers else 200
        return RedirectResponse("/elsewhere", 302) if code == 302 else Response(status_code=code)

    def keys(self) -> list[str]:
        return [headers["idempotency-key"] for headers, _ in self.requests]


@pytest.fixture
def hook(serve):
    made = Hook()
    app = Starlette(routes=[Route("/{path:path}", made.take, methods=["POST", "GET"])])
    made.url = serve(app) + "/hook?token=s3cret"
    return made
