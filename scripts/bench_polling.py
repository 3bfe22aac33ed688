"""Simulates when runs are polled, and prints how many polls that takes and how late ends are noticed.

    scripts/bench polling                               the table
    scripts/bench polling COST_SHARE=0.005 ENOUGH=16   the same with other parameters

`learned` uses the plans of lifecycle/polling.py, `by age` its rule for unknown runs. Ten jobs at a time use one plan,
as those that a worker starts within a few seconds do. What the simulation showed:

- The plan needs no model of the durations: the polls that would have cost least for the last 64 runs are good for the
  next ones, whatever the distribution. With 32 runs, the few long ones of a heavy tail are missed; with 100, a change
  of the server is followed later, and little else is better.
- SHORTEST_S is the price of a poll. With 0.05 s, runs of about 5 s cost one poll more, and save 0.1 s.
- COST_SHARE = 0.005 saves a fifth of the time for runs of about 20 s, and costs one or two polls more.
- A planned poll needs no margin after the end of an earlier run: with 2 %, runs of 20 s were noticed 0.8 s late.
- A run that had ended at its first poll ended at an unknown time before. To assume the middle of its age costs a poll
  more for all other runs; to assume the time of the poll would never show that a server has become faster. The whole
  seconds between `created_at` and `completed_at` say more: with them, twenty runs of 20 s are enough to notice the
  next ones 0.1 s late in 3 polls, without them 0.8 s late in 3.5 polls; and runs of 20 ms are known after 4 polls.
"""

import argparse
import math
import random
import statistics
from collections import deque
from collections.abc import Callable, Mapping

from rich.console import Console
from rich.table import Table

from threadmill.settings.endpoints.run_limits import RunLimits
from threadmill_worker.attempt.attempt import JITTER, PLANNED_JITTER_S
from threadmill_worker.lifecycle import polling
from threadmill_worker.lifecycle.observations import RunObservation
from threadmill_worker.lifecycle.polling import NO_PLAN, PollPlan, duration_s
from threadmill_worker.lifecycle.progress import CurrentRun
from threadmill_worker.store.durations import KEPT

JOBS, WARM_UP, AT_ONCE = 1000, 50, 10
LIMITS = RunLimits()
ACTIVE = CurrentRun(RunObservation("run", "in_progress"), started_at=0.0, active_since=0.0)

Dice = random.Random
#: The duration of run number `n` in seconds.
Distribution = Callable[[Dice, int], float]


def alike(mean_s: float, sigma: float) -> Distribution:
    return lambda dice, n: mean_s * math.exp(dice.gauss(0, sigma))


def drifting(*means_s: float) -> Distribution:
    """The mean changes every 100 runs."""
    return lambda dice, n: means_s[n // 100 % len(means_s)] * math.exp(dice.gauss(0, 0.05))


DISTRIBUTIONS: Mapping[str, Distribution] = {
    "20 ms": alike(0.02, 0),
    "5 s": alike(5, 0.002),
    "20 s": alike(20, 0.002),
    "5 s, lognormal 0.2": alike(5, 0.2),
    "5 s, lognormal 0.5": alike(5, 0.5),
    "5 s, lognormal 1": alike(5, 1),
    "20 s, lognormal 0.2": alike(20, 0.2),
    "20 s, lognormal 0.5": alike(20, 0.5),
    "120 s, lognormal 0.3": alike(120, 0.3),
    "2 s or 60 s": lambda dice, n: dice.choice((2, 60)) * math.exp(dice.gauss(0, 0.1)),
    "Pareto 1.5 from 2 s": lambda dice, n: min(2 * dice.paretovariate(1.5), 600),
    "3 s, then 6 s, again": drifting(3, 6),
    "20 s, then 4 s, again": drifting(20, 4),
}


def poll(run_s: float, plan: PollPlan, dice: Dice) -> list[float]:
    """Returns the ages at which a run is polled; 0.0 is its start."""
    ages, most_s = [0.0], PLANNED_JITTER_S if plan.ages_s else math.inf
    while ages[-1] < run_s:
        wait_s = plan.delay_s(ages[-1], LIMITS)
        ages.append(ages[-1] + wait_s + dice.random() * min(JITTER * wait_s, most_s))
    return ages


def measure(distribution: Distribution, *, learns: bool) -> list[str]:
    """Returns the mean calls, and how late ends were seen: mean and 95th percentile, in seconds."""
    dice, known, plan = Dice(1), deque[float](maxlen=KEPT), NO_PLAN
    calls, late = [], []
    for n in range(JOBS):
        if n % AT_ONCE == 0 and learns:
            plan = PollPlan.of(known)
        run_s = distribution(dice, n)
        *_, before, seen = ages = poll(run_s, plan, dice)
        ended = RunObservation("run", "completed", took_s=math.floor(run_s + dice.random()))
        if (took_s := duration_s(ACTIVE, before, ended, seen)) is not None:
            known.append(took_s)
        if n >= WARM_UP:
            calls.append(len(ages) - 1)
            late.append(seen - run_s)
    slowest_s = statistics.quantiles(late, n=20)[-1]
    return [f"{statistics.mean(calls):.1f}", f"{statistics.mean(late):.2f}", f"{slowest_s:.2f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parameters", nargs="*", metavar="NAME=NUMBER", help="of lifecycle/polling.py")
    for name, _, number in (each.partition("=") for each in parser.parse_args().parameters):
        if not isinstance(getattr(polling, name, None), float | int):
            parser.error(f"lifecycle/polling.py has no parameter {name!r}; it has SHORTEST_S, for example")
        setattr(polling, name, float(number))
    table = Table(title=f"polls of a run, and seconds from its end until it is noticed ({JOBS} runs)")
    for column in ("runs take", "by age: polls", "late", "95 %", "learned: polls", "late", "95 %"):
        table.add_column(column, justify="right")
    for name, distribution in DISTRIBUTIONS.items():
        table.add_row(name, *measure(distribution, learns=False), *measure(distribution, learns=True))
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
