"""`/v1/endpoints`: the servers of the settings, their limits, and the jobs that wait for them. For operators."""

from http import HTTPStatus

from fastapi import APIRouter
from pydantic import BaseModel, Field

from threadmill.errors import SettingsError
from threadmill.store.records.pool import PoolRecord
from threadmill_gateway.requests.callers import Operator
from threadmill_gateway.requests.problems import Problem, documented
from threadmill_gateway.requests.state import Gateway, Served

router = APIRouter(prefix="/v1/endpoints", tags=["endpoints"])

_NOT_FOUND = documented(HTTPStatus.NOT_FOUND)


class EndpointView(BaseModel):
    """An endpoint, and its pools: one for each model and key that has limits of its own."""

    name: str
    kind: str
    is_default: bool = Field(description="Whether jobs that name no endpoint use it.")
    paused: str | None = Field(description="Why an operator paused it, or an empty text; null: it is not paused.")
    pools: list[PoolRecord]


class EndpointList(BaseModel):
    data: list[EndpointView]


class Pause(BaseModel):
    reason: str = Field(default="", max_length=500, description="For those who wait for its jobs.")


@router.get("")
async def list_endpoints(gateway: Served, _: Operator) -> EndpointList:
    """List the endpoints with their pools."""
    pools = await gateway.client.pools()
    return EndpointList(data=[_view(gateway, name, pools) for name in gateway.settings.endpoints])


@router.get("/{name}", responses=_NOT_FOUND)
async def get(name: str, gateway: Served, _: Operator) -> EndpointView:
    """Read an endpoint with its pools."""
    _check(gateway, name)
    return _view(gateway, name, await gateway.client.pools(name))


@router.post("/{name}/pause", responses=_NOT_FOUND)
async def pause(name: str, gateway: Served, _: Operator, body: Pause | None = None) -> EndpointView:
    """Stop workers from starting runs on an endpoint. Jobs under way continue."""
    _check(gateway, name)
    await gateway.client.pause_endpoint(name, body.reason if body else "")
    return _view(gateway, name, await gateway.client.pools(name))


@router.post("/{name}/resume", responses=_NOT_FOUND)
async def resume(name: str, gateway: Served, _: Operator) -> EndpointView:
    """Let workers start runs on a paused endpoint again."""
    _check(gateway, name)
    await gateway.client.resume_endpoint(name)
    return _view(gateway, name, await gateway.client.pools(name))


def _check(gateway: Gateway, name: str) -> None:
    if name not in gateway.settings.endpoints:
        known = ", ".join(gateway.settings.endpoints)
        raise Problem(HTTPStatus.NOT_FOUND, f"there is no endpoint {name!r:.210}", f"the endpoints are {known}")


def _view(gateway: Gateway, name: str, pools: list[PoolRecord]) -> EndpointView:
    own = [pool for pool in pools if pool.endpoint == name]
    return EndpointView(
        name=name,
        kind=gateway.settings.endpoints[name].kind,
        is_default=name == _default(gateway),
        paused=next((pool.paused for pool in own if pool.paused is not None), None),
        pools=own,
    )


def _default(gateway: Gateway) -> str | None:
    try:
        return gateway.settings.endpoint_name(None)
    except SettingsError:  # jobs have to name one
        return None
