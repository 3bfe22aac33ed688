"""`/healthz` and `/readyz`: whether the process answers, and whether it reaches Redis. They need no API key."""

from http import HTTPStatus

from fastapi import APIRouter
from pydantic import BaseModel

from threadmill_gateway.requests.problems import documented
from threadmill_gateway.requests.state import Served

router = APIRouter(tags=["health"])


class Health(BaseModel):
    status: str = "ok"


@router.get("/healthz")
async def healthz() -> Health:
    """Say that the process answers."""
    return Health()


@router.get("/readyz", responses=documented(HTTPStatus.SERVICE_UNAVAILABLE))
async def readyz(gateway: Served) -> Health:
    """Say that jobs can be enqueued: Redis answers."""
    await gateway.client.ping()
    return Health()
