"""How patient we are with a server: the numbers the lifecycle decides by. Part of an endpoint's settings."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt


class Policy(BaseModel):
    """Durations in seconds (`_s`), counts per job unless said otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    request_timeout_s: PositiveFloat = 30  #: for one reply of the server
    poll_first_s: PositiveFloat = 1.1  #: from a run's start to the first look at it
    poll_longest_s: PositiveFloat = 10  #: between two looks, however long the run takes
    reruns: Annotated[int, Field(ge=0)] = 2  #: new runs after expired, server_error, rate limits, stuck
    rerun_delay_s: PositiveFloat = 1  #: before the first rerun; doubles with each
    tool_rounds: PositiveInt = 50  #: per run
    queued_limit_s: PositiveFloat = 300  #: a run still `queued` after this is stuck
    run_limit_s: PositiveFloat = 660  #: a run alive after this is stuck; the server's own limit is 600
    cancel_limit_s: PositiveFloat = 60  #: how long a cancelled run may take to stop
    cancels: bool = True  #: the server can cancel a run; else one that is not wanted any more is left to itself
    busy_thread: Literal["wait", "cancel"] = "wait"  #: what to do about a stranger's run that locks our thread
    store_limit_s: PositiveFloat = 300  #: how long the server may take to make files searchable
    unreachable_s: PositiveFloat = 300  #: how long a job bears a server that gives no usable reply
    lane_fallback: Literal["none", "full_price"] = "none"  #: what happens to a job that its lane does not answer
