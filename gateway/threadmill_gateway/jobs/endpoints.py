"""`/v1/endpoints`: the limits of each server, and whether jobs can start there."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Body, Path
from pydantic import BaseModel

from threadmill.store.pool_records import PoolRecord
from threadmill_gateway.callers import Caller, Operator, Reader
from threadmill_gateway.problems import Problem, documented
from threadmill_gateway.state import Gateway, Served

router = APIRouter(prefix="/v1/endpoints", tags=["endpoints"])

Name = Annotated[str, Path(description="The name of an endpoint in the settings.")]
_NOT_FOUND = documented(HTTPStatus.NOT_FOUND)


class EndpointView(BaseModel):
    """An endpoint with its pools: the share of each model and key in its limits."""

    name: str
    paused: str | None  #: why an operator paused it, or ''; null: it is not paused
    pools: list[PoolRecord]


class EndpointList(BaseModel):
    data: list[EndpointView]


class Pause(BaseModel):
    reason: str = ""  #: shown with jobs that wait


@router.get("")
async def list_(gateway: Served, caller: Reader) -> EndpointList:
    """List the endpoints that the caller may use."""
    return EndpointList(
        data=[await _read(gateway, name) for name in gateway.settings.endpoints if caller.may_use(name)]
    )


@router.get("/{name}", responses=_NOT_FOUND)
async def get(name: Name, gateway: Served, caller: Reader) -> EndpointView:
    """Read an endpoint: its limits, the jobs that use and await them, until when it is shut and why."""
    _check(gateway, caller, name)
    return await _read(gateway, name)


@router.post("/{name}/pause", responses=_NOT_FOUND)
async def pause(
    name: Name, gateway: Served, caller: Operator, body: Annotated[Pause | None, Body()] = None
) -> EndpointView:
    """Start no more runs on the endpoint until it is resumed."""
    _check(gateway, caller, name)
    await gateway.client.pause_endpoint(name, body.reason if body else "")
    return await _read(gateway, name)


@router.post("/{name}/resume", responses=_NOT_FOUND)
async def resume(name: Name, gateway: Served, caller: Operator) -> EndpointView:
    """Start runs on a paused endpoint again."""
    _check(gateway, caller, name)
    await gateway.client.resume_endpoint(name)
    return await _read(gateway, name)


def _check(gateway: Gateway, caller: Caller, name: str) -> None:
    if name not in gateway.settings.endpoints or not caller.may_use(name):
        raise Problem(HTTPStatus.NOT_FOUND, f"there is no endpoint {name!r:.100}", "see GET /v1/endpoints")


async def _read(gateway: Gateway, name: str) -> EndpointView:
    pools = await gateway.client.pools(name)
    return EndpointView(name=name, paused=next((pool.paused for pool in pools), None), pools=pools)
