"""The record of a delivery: one callback with its attempts."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Literal, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import AwareDatetime, Field

from threadmill.job.callback import Callback
from threadmill.job.model import StoredModel


class DeliveryState(StrEnum):
    PENDING = "pending"  #: workers send it, or try again
    DELIVERED = "delivered"  #: the receiver took it
    DEAD = "dead"  #: given up; `threadmill callbacks retry` starts over


class Delivery(StoredModel):
    """A callback. Its id is the `webhook-id` of each attempt."""

    id: str
    state: DeliveryState
    event: str  #: job.succeeded, job.failed, job.cancelled or batch.ended
    kind: Literal["job", "batch"]
    subject: str  #: the job's id, or the batch's name
    receiver: Callback
    created_at: AwareDatetime  #: when the job or batch ended
    attempts: int = Field(default=0, ge=0)
    due_at: datetime | None = None  #: of a pending delivery: the next attempt, or the end of the lease of this one
    ended_at: datetime | None = None  #: when it was delivered or given up
    status: int | None = None  #: the HTTP status of the last reply
    reason: str | None = None  #: the outcome of the last attempt

    @property
    def shown_url(self) -> str:
        """The URL without its query, which may hold a token."""
        return urlunsplit(urlsplit(self.receiver.url)._replace(query=""))

    @property
    def host(self) -> str:
        """The host of its receiver, and the port if the URL names one."""
        return urlsplit(self.receiver.url).netloc

    @classmethod
    def read(cls, delivery_id: str, state: DeliveryState, moment: datetime, fields: Mapping[str, str]) -> Self:
        """Parses a delivery. `moment`: when it is due or has ended. Raises ValueError for a damaged one."""
        values = {name: text for name, text in fields.items() if text}
        return cls.model_validate(
            {
                **values,
                "id": delivery_id,
                "state": state,
                "receiver": Callback.model_validate_json(values.get("receiver", "")),
                "due_at" if state is DeliveryState.PENDING else "ended_at": moment,
            }
        )
