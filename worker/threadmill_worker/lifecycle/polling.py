"""When to poll a run. PURE.

A server's hint comes first. Otherwise the delay is a share of the run's age, or, once it is known how long such runs
take, what would have been best for them. The parameters were chosen by simulation: scripts/bench_polling.py.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from threadmill.settings.endpoints.run_limits import RunLimits
from threadmill_worker.lifecycle.observations import ANSWERED, ENDED, RunObservation
from threadmill_worker.lifecycle.progress import CurrentRun

#: The time to the next poll, as a share of the run's age. A result is noticed at most this share of the age late.
POLL_SHARE = 0.25

#: The range in which a server can choose the delay before the next poll, in seconds.
HINT_RANGE_S = (0.25, 10.0)

#: A plan needs so many durations.
ENOUGH = 8

#: The shortest delay between two polls of a plan, in seconds. It is also what a poll costs: an answer may come so much
#: later to save one.
SHORTEST_S = 0.1

#: What a poll of long runs costs, as a share of their duration.
COST_SHARE = 0.01

#: The delay between polls, as a share of the run's age, when a run takes longer than all earlier ones.
LATE_SHARE = 0.02

#: While webhooks say when runs end, a run is polled so often in case its webhook gets lost, in seconds; and so long
#: after all earlier runs had ended.
SAFETY_NET_S = 30.0
OVERDUE_S = 5.0


@dataclass(frozen=True)
class PollPlan:
    """The polls that would have cost least for earlier runs: in calls, and in answers noticed late.

    `ages_s`: the ages of a run at which to poll it, ascending; empty: too few runs are known. `webhooks`: a webhook
    says when a run has ended, so polls are only its safety net.
    """

    ages_s: tuple[float, ...] = ()
    webhooks: bool = False

    @classmethod
    def of(cls, durations_s: Sequence[float]) -> "PollPlan":
        """Returns the plan for runs that take as long as these."""
        ends = sorted(durations_s)
        return cls(tuple(_cheapest(ends))) if len(ends) >= ENOUGH else cls()

    def delay_s(self, age_s: float, limits: RunLimits) -> float:
        """Returns the seconds to the next poll of a run of this age, at most `max_poll_interval_s`.

        With webhooks, they are at most SAFETY_NET_S, if this is longer.
        """
        if self.webhooks:
            return self._safety_net_s(age_s, limits)
        if not self.ages_s:
            return growing_delay_s(age_s, limits)
        shortest_s = min(SHORTEST_S, limits.first_poll_s, limits.max_poll_interval_s)
        following = bisect_right(self.ages_s, age_s + shortest_s / 2)
        if following == len(self.ages_s):
            late_s = max(age_s - self.ages_s[-1], age_s * LATE_SHARE, shortest_s)
            return min(late_s, growing_delay_s(age_s, limits))
        wait_s = self.ages_s[following] - age_s
        return max(shortest_s, wait_s / math.ceil(wait_s / limits.max_poll_interval_s))

    def _safety_net_s(self, age_s: float, limits: RunLimits) -> float:
        net_s = max(SAFETY_NET_S, limits.max_poll_interval_s)
        overdue_s = self.ages_s[-1] + OVERDUE_S - age_s if self.ages_s else net_s
        return overdue_s if SHORTEST_S <= overdue_s < net_s else net_s


#: Nothing is known of earlier runs.
NO_PLAN = PollPlan()


def growing_delay_s(age_s: float, limits: RunLimits) -> float:
    """Returns the seconds to the next poll of something of which only the age is known."""
    return min(max(age_s * POLL_SHARE, limits.first_poll_s), limits.max_poll_interval_s)


def poll_delay_s(run: CurrentRun, limits: RunLimits, plan: PollPlan, now: float) -> float:
    """Returns the seconds to the next poll of a run, as last observed."""
    if run.seen.poll_after_s is not None and not plan.webhooks:
        shortest, longest = HINT_RANGE_S
        return min(max(shortest, run.seen.poll_after_s), longest)  # in this order, NaN becomes the shortest
    if run.cancel_requested_at is not None:
        return growing_delay_s(now - max(run.active_since, run.cancel_requested_at), limits)
    return plan.delay_s(now - run.active_since, limits)


def duration_s(
    before: CurrentRun, before_at: float, seen: RunObservation, now: float, *, at_once: bool = False
) -> float | None:
    """Returns how long the server worked on a run that a poll sees answered or calling tools; None: not known.

    It counts from the start of the run or from its last tool outputs. The run was still active at `before_at`. What
    the server says itself is a whole number of seconds, so the run took up to a second more or less. `at_once`: the
    run has just ended.
    """
    was_active = before.status not in ENDED and not before.calls
    has_finished = seen.status in ANSWERED or bool(seen.calls)
    if not (was_active and has_finished) or before.cancel_requested_at is not None:
        return None
    if before.seen.poll_after_s is not None:  # the server, or an event stream, says when to poll such runs
        return None
    shortest_s, longest_s = max(before_at - before.active_since, 0.0), now - before.active_since
    if at_once:
        return longest_s if longest_s > 0 else None
    if seen.took_s is not None and before.active_since == before.started_at:  # it includes the time of tool calls
        told = max(shortest_s, seen.took_s - 1), min(longest_s, seen.took_s + 1)
        if told[0] < told[1]:
            return sum(told) / 2
    return (max(shortest_s, longest_s / 2) + longest_s) / 2 if longest_s > 0 else None


def _cheapest(ends: Sequence[float]) -> list[float]:
    """Returns the ages at which polls cost least if runs end at `ends`, ascending.

    Each poll comes at one of the ends; each run is polled until it has ended. Solved from the last end to the
    first: `costs[i]` is what the runs from `i` on cost after all before have ended.
    """
    number = len(ends)
    poll_cost_s = max(SHORTEST_S, ends[number // 2] * COST_SHARE)
    sums = [0.0, *accumulate(ends)]
    costs, best = [0.0] * (number + 1), [number] * number
    for i in reversed(range(number)):
        costs[i], best[i] = min(
            (poll_cost_s * (number - i) + ends[j - 1] * (j - i) - (sums[j] - sums[i]) + costs[j], j)
            for j in range(i + 1, number + 1)
        )
    planned, i = [], 0
    while i < number:
        i = best[i]
        planned.append(ends[i - 1])
    return planned
