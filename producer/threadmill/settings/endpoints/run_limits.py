"""The limits of a run: timeouts, retries and rounds of tools. Part of an endpoint's settings."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from threadmill.job.model import InputModel
from threadmill.settings.endpoints.supports import Supports


class RunLimits(InputModel):
    """Durations are in seconds (`_s`), counts are per job unless stated otherwise."""

    request_timeout_s: PositiveFloat = 30  #: for one reply of the server
    first_poll_s: PositiveFloat = 1.1  #: from a run's start to the first poll
    max_poll_interval_s: PositiveFloat = 10  #: the longest pause between two polls
    max_reruns: Annotated[int, Field(ge=0)] = 2  #: new runs after expired, server_error, stuck
    rerun_delay_s: PositiveFloat = 1  #: before the first rerun; doubles with each
    max_tool_rounds: PositiveInt = 50  #: per run
    queued_limit_s: PositiveFloat = 300  #: a run still `queued` after this is stuck
    run_limit_s: PositiveFloat = 660  #: a run that has not ended after this is stuck; the server's own limit is 600
    cancel_limit_s: PositiveFloat = 60  #: how long a cancelled run may take to stop
    on_locked_thread: Literal["wait", "cancel"] = "wait"  #: what to do about a foreign run that locks the job's thread
    indexing_limit_s: PositiveFloat = 300  #: how long the server may take to index files
    unreachable_limit_s: PositiveFloat = 300  #: a job fails after the server gave no usable reply for this long
    transcript_limit_chars: PositiveInt = 1_000_000  #: of a local thread, as JSON; then its oldest messages are dropped
    lane_fallback: Literal["none", "full_price"] = "none"  #: how to run a job that its lane did not answer
    supports: Supports = Supports()  #: the server's features; the lifecycle asks whether it can cancel a run
