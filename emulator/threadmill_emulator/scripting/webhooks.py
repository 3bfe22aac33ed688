"""Where webhooks go, and how badly they arrive."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class WebhookPlan(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[str, Field(pattern=r"^https?://\S+$")] | None = None  #: None: none are sent
    times: Annotated[int, Field(ge=0, le=10)] = 1  #: how often each is sent; 0: each gets lost
    delay_s: Annotated[float, Field(ge=0, le=3600)] = 0.0  #: how late each is sent
