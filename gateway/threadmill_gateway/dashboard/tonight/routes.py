"""`/`: the state of everything at a glance."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from threadmill_gateway.dashboard.page import Page

router = APIRouter(include_in_schema=False)


@router.get("/")
async def tonight(page: Page) -> Response:
    async def load() -> dict[str, Any]:
        return {"workers": await page.gateway.client.workers()}

    return await page.show("tonight/tonight.html", load)
