"""What a server allows a client: requests, tokens and runs in flight, and how it tells its clients."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

PerMinute = Annotated[float, Field(gt=0)]
#: Headers of rate limits, as these servers send them.
HeaderForm = Literal["openai", "azure", "litellm", "none"]


class Limits(BaseModel):
    """The limits hold for each key and model. They count starts of runs, submitted tool outputs, new responses
    and chat completions. Slots are the whole server's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests_per_minute: PerMinute | None = None
    tokens_per_minute: PerMinute | None = None
    concurrency: int | None = Field(None, ge=1)  #: runs, responses and chat completions in flight
    slots: int | None = Field(None, ge=1)  #: chat completions at work; the others wait for a slot
    queue: int | None = Field(None, ge=0)  #: how many may wait for a slot; more are refused with 503
    burst_s: float = Field(1.0, gt=0, le=60)  #: after a pause, what this many seconds allow may be used at once
    count_refused: bool = False  #: refused requests count too, as with OpenAI (help article 5955604)
    count_all: bool = False  #: all requests count, polls too, and the limits hold for each key
    per_model: bool = True  #: false: the limits hold for each key, whatever the model
    rate_headers: HeaderForm = "openai"
    retry_after: bool = True  #: false: a refusal does not say when to try again
