"""`/v1/callbacks`: the callbacks that workers send, and what became of them. For operators."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from threadmill.store.records.callback import Delivery, DeliveryState
from threadmill_gateway.requests.callers import Operator
from threadmill_gateway.requests.state import Served

router = APIRouter(prefix="/v1/callbacks", tags=["callbacks"])


class CallbackView(BaseModel):
    """A callback with its attempts."""

    id: str = Field(description="The `webhook-id` of each attempt.")
    state: DeliveryState
    event: str
    kind: str
    subject: str = Field(description="The job's id, or the batch's name.")
    url: str = Field(description="Without its query, which may hold a token.")
    created_at: datetime
    attempts: int
    due_at: datetime | None
    ended_at: datetime | None
    status: int | None = Field(description="The HTTP status of the last reply.")
    reason: str | None = Field(description="The outcome of the last attempt.")

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        fields = delivery.model_dump(include=set(cls.model_fields) - {"url"})
        return cls(**fields, url=delivery.shown_url)


class CallbackList(BaseModel):
    data: list[CallbackView]


@router.get("")
async def list_callbacks(
    gateway: Served,
    _: Operator,
    state: DeliveryState | None = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="The most of each state.")] = 50,
) -> CallbackList:
    """List callbacks: pending ones, the first due first; then dead and delivered ones, the last first."""
    return CallbackList(data=[CallbackView.of(each) for each in await gateway.client.callbacks(state, limit)])
