"""`/`: the state of everything at a glance."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from threadmill.client import Client
from threadmill.settings.pool_name import pool_name
from threadmill.settings.pools import limits_of
from threadmill.store.pool_records import PoolRecord
from threadmill_gateway.dashboard.page import Page

router = APIRouter(include_in_schema=False)


@router.get("/")
async def tonight(page: Page) -> Response:
    async def load() -> dict[str, Any]:
        return await page.gateway.client.call(_state)

    return await page.show("tonight/tonight.html", load)


def _state(client: Client) -> dict[str, Any]:
    return {"workers": client.workers(), "endpoints": _pools(client)}


def _pools(client: Client) -> list[PoolRecord]:
    """Returns the pools in use, and one for each endpoint that has none."""
    pools, now = client.pools(), client.store.now()
    known = {pool.endpoint for pool in pools}
    unused = [pool_name(name) for name in client.settings.endpoints if name not in known]
    pools += [PoolRecord.unused(name, now, limits_of(client.settings, name)) for name in unused]
    return sorted(pools, key=lambda pool: pool.label)
