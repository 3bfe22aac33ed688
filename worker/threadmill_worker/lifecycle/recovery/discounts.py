"""Lanes: how long a job waits for the server, what its runs cost, and what follows if a lane is closed. PURE."""

import math

from threadmill.job.lanes import discount_of
from threadmill.job.result import Failure, FailureKind, Usage
from threadmill.settings.run_limits import RunLimits
from threadmill_worker.lifecycle.observations import LaneClosed, RunObservation
from threadmill_worker.lifecycle.progress import REASON_CHARACTERS, Progress
from threadmill_worker.lifecycle.replace import replace

#: A result is noticed late by at most this share of the time that its lane may take.
_LATE_SHARE = 1 / 120

#: Tiers of standard processing, which completion windows require. None: the server does not say.
_STANDARD = frozenset({None, "auto", "default"})

#: The longest wait between two requests for capacity. Jobs in a lane are not urgent, and each refusal counts towards
#: rate limits.
CAPACITY_LONGEST_S = 300.0

REMEDY = 'to run such jobs at full price, leave out `lane`, or set lane_fallback = "full_price" for the endpoint'


def limits_in_lane(limits: RunLimits, lane: str | None) -> RunLimits:
    """Returns the limits for a job of the lane. A run that waits there is not stuck: only its deadline limits it."""
    discount = discount_of(lane)
    if discount is None:
        return limits
    pause_s = max(limits.max_poll_interval_s, discount.slowest_s * _LATE_SHARE)
    return limits.model_copy(
        update={"max_poll_interval_s": pause_s, "queued_limit_s": math.inf, "run_limit_s": math.inf}
    )


def spend(progress: Progress, run: RunObservation, usage: Usage) -> Progress:
    """Adds the usage of a run and its lane to the cost. After runs of different lanes, the full price is assumed.

    The end of a run may be observed more than once: the last usage counts.
    """
    cost = progress.cost
    if usage == Usage() or (usage.unreported and run.id in cost.by_run):
        return progress
    requested = progress.requested_lane
    lane = _lane_of(run, requested)
    is_alike = lane == cost.lane or cost.usage == cost.by_run.get(run.id, Usage())
    by_run = {**cost.by_run, run.id: usage}
    cost = replace(
        cost,
        usage=sum(by_run.values(), Usage()),
        by_run=by_run,
        lane=lane if is_alike else None,
        full_price=cost.full_price or (_why_not(run, requested) if requested and lane != requested else None),
    )
    return replace(progress, cost=cost)


def _lane_of(run: RunObservation, requested: str | None) -> str | None:
    """Returns the lane of a run. The server names its tier, but never its completion window."""
    if run.lane is not None or run.tier == "flex":
        return run.lane or "flex"
    return requested if _has_window(requested) and run.in_background and run.tier in _STANDARD else None


def _has_window(lane: str | None) -> bool:
    discount = discount_of(lane)
    return discount is not None and discount.completion_window is not None


def _why_not(run: RunObservation, requested: str) -> str:
    if requested == "batch":
        return "the batch lane did not answer the job"
    if _has_window(requested) and not run.in_background:
        return f"the server did not work in the background, as the lane {requested} requires"
    if run.tier is None:
        return f"the server did not say that it used the lane {requested}"
    return f"the server used its service tier {run.tier} instead of the lane {requested}"


def closed(progress: Progress, error: LaneClosed, limits: RunLimits, now: float) -> Progress:
    """The server refused a request of the lane: the job waits for capacity, continues at full price, or fails.

    With `lane_fallback`, it waits for `unreachable_limit_s`, or for half of the time to its deadline if that is less.
    """
    since = progress.errors.since if progress.errors.since is not None else now
    patience_s = min(limits.unreachable_limit_s, (progress.deadline_at - since) / 2)
    if limits.lane_fallback == "full_price" and not (error.passes and now - since < patience_s):
        cost = replace(progress.cost, fell_back=True, full_price=error.reason[:REASON_CHARACTERS])
        return replace(progress.without_errors(), cost=cost)
    if error.passes:
        return progress
    failure = Failure(kind=FailureKind.UNSUPPORTED, message=f"{error.reason}; {REMEDY}")
    return progress.failed(failure)
