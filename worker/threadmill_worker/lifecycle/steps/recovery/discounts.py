"""Lanes and the service tier `priority`: how long a job waits for the server, what its runs cost, and what follows
if the server refuses a lane or a tier. PURE.
"""

import math

from threadmill.job.lanes import PRIORITY, discount_of, in_words, window_of
from threadmill.job.result import Failure, FailureKind, Usage
from threadmill.settings.endpoints.run_limits import RunLimits
from threadmill_worker.lifecycle.observations import LaneClosed, RunObservation
from threadmill_worker.lifecycle.progress import REASON_CHARACTERS, Progress
from threadmill_worker.lifecycle.replace import replace

#: A result is noticed late by at most this share of the time that its lane may take.
_LATE_SHARE = 1 / 120

#: Tiers of standard processing, which completion windows require. None: the server does not say.
_STANDARD = frozenset({None, "auto", "default"})

#: The names of the faster tier. OpenAI renamed it, and takes and shows both.
_FASTER = frozenset({PRIORITY, "fast"})

#: The longest wait between two requests for capacity. Jobs in a lane are not urgent, and each refusal counts towards
#: rate limits.
CAPACITY_LONGEST_S = 300.0


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
    """Adds the usage of a run and its lane or tier to the cost. After runs of several, the highest price is assumed.

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
        lane=lane if is_alike else _dearest(lane, cost.lane),
        full_price=cost.full_price or (_why_not(run, requested) if requested and lane != requested else None),
    )
    return replace(progress, cost=cost)


def _lane_of(run: RunObservation, requested: str | None) -> str | None:
    """Returns the lane or tier that a run is paid for. The server names its tier, but never its completion window.

    A run may have another tier than the job asks for: that of its project on the server, for instance.
    """
    if run.lane is not None or run.tier == "flex":
        return run.lane or "flex"
    if run.tier in _FASTER:
        return PRIORITY
    return requested if window_of(requested) and run.in_background and run.tier in _STANDARD else None


def _dearest(*lanes: str | None) -> str | None:
    return PRIORITY if PRIORITY in lanes else None


def _why_not(run: RunObservation, requested: str) -> str:
    if requested == "batch":
        return "the batch lane did not answer the job"
    if window_of(requested) and not run.in_background:
        return f"the server did not work in the background, as the lane {requested} requires"
    if run.tier is None:
        return f"the server did not say that it used {in_words(requested)}"
    return f"the server used its service tier {run.tier} instead of {in_words(requested)}"


def closed(progress: Progress, error: LaneClosed, limits: RunLimits, now: float) -> Progress:
    """The server refused the lane or the tier: the job waits for capacity, continues at full price, or fails.

    With `lane_fallback`, it waits for `unreachable_limit_s`, or for half of the time to its deadline if that is less.
    """
    since = progress.errors.since if progress.errors.since is not None else now
    patience_s = min(limits.unreachable_limit_s, (progress.deadline_at - since) / 2)
    if limits.lane_fallback == "full_price" and not (error.passes and now - since < patience_s):
        cost = replace(progress.cost, fell_back=True, full_price=error.reason[:REASON_CHARACTERS])
        return replace(progress.without_errors(), cost=cost)
    if error.passes:
        return progress
    field = "service_tier" if progress.requested_lane == PRIORITY else "lane"
    remedy = f'to run such jobs at full price, leave out `{field}`, or set lane_fallback = "full_price"'
    message = f"{error.reason}; {remedy} for the endpoint"
    return progress.failed(Failure(kind=FailureKind.UNSUPPORTED, message=message))
