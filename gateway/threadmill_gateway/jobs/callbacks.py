"""`/v1/callbacks`: the deliveries of callbacks, for operators."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel

from threadmill.store.callback_records import Delivery, DeliveryState
from threadmill_gateway.callers import Operator
from threadmill_gateway.problems import Problem, documented
from threadmill_gateway.state import Served

router = APIRouter(prefix="/v1/callbacks", tags=["callbacks"])


class DeliveryList(BaseModel):
    data: list[Delivery]


class DeliveryChange(BaseModel):
    id: str
    outcome: str  #: `pending` or `dropped`


Id = Annotated[str, Path(description="The id of a delivery, which is its `webhook-id`.")]


@router.get("")
async def list_(
    gateway: Served,
    _: Operator,
    state: DeliveryState | None = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Of each state.")] = 50,
) -> DeliveryList:
    """List the deliveries: pending ones, then dead and delivered ones."""
    return DeliveryList(data=[_shown(each) for each in await gateway.client.callbacks(state, limit)])


@router.post("/{delivery_id}/retry", responses=documented(HTTPStatus.NOT_FOUND))
async def retry(delivery_id: Id, gateway: Served, _: Operator) -> DeliveryChange:
    """Send a delivery again now."""
    return _change(delivery_id, await gateway.client.retry_callbacks([delivery_id]))


@router.delete("/{delivery_id}", responses=documented(HTTPStatus.NOT_FOUND))
async def drop(delivery_id: Id, gateway: Served, _: Operator) -> DeliveryChange:
    """Delete a delivery; it is not sent any more."""
    return _change(delivery_id, await gateway.client.drop_callbacks([delivery_id]))


def _change(delivery_id: str, outcomes: dict[str, str]) -> DeliveryChange:
    outcome = outcomes[delivery_id]
    if outcome == "missing":
        raise Problem(HTTPStatus.NOT_FOUND, f"there is no delivery {delivery_id:.100}, or it is no longer kept")
    return DeliveryChange(id=delivery_id, outcome=outcome)


def _shown(delivery: Delivery) -> Delivery:
    """Returns the delivery without the query of its URL, which may hold a token."""
    return delivery.model_copy(update={"receiver": delivery.receiver.model_copy(update={"url": delivery.shown_url})})
