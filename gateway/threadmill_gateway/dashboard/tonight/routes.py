"""`/`: the state of everything at a glance."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from threadmill_gateway.dashboard.page import Page
from threadmill_gateway.dashboard.tonight.reading import Tonight

router = APIRouter(include_in_schema=False)


@router.get("/")
async def tonight(page: Page) -> Response:
    state = Tonight()

    async def load() -> Mapping[str, Any]:
        return await page.gateway.client.call(state.read)

    return await page.show("tonight/tonight.html", load)
