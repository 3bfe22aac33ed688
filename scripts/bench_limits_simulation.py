"""Simulates the limiter of a fleet against a server with a token bucket, to choose the parameters of tuning.lua.

    .venv/bin/python -m scripts.bench_limits_simulation                          the table and the changes of a limit
    .venv/bin/python -m scripts.bench_limits_simulation BETA=0.8 GROWTH=0.5      the same with other parameters

It runs the model of the limiter, tests/limiter_model.py, which the tests compare with the scripts. `scripts/bench
limits` measures real processes. What the simulation showed, for servers that tell no limit:

- The cut and the growth of CUBIC are relative to the rate, and the plateau comes after 4 s or 20 starts. The absolute
  curve of the AWS SDKs (BETA 0.7, SCALE 0.4) grows too fast for rates below 20/s: one of 1/s was exceeded every 8 s.
  A shorter plateau brings more refusals; with a longer one, a doubled limit is followed later.
- The pause after a cut is the time of two starts. Half a second is too short for 1/s and too long for 200/s.
- The measured rate lags behind a growing one: with MEASURED_S = 2 the first cut went to half the limit. A TRUSTED_SHARE
  above 0.6 costs refusals where refused starts count; below, rates of 1/s and 2/s are underused.
- Places further ahead than 2 s or 8 starts are worth little while the rate is learned, because it outgrows them.
- Weak cases remain. A server with a burst of one start refuses any two starts that overtake each other: with replies
  after 300 ms no rate above 8/s is safe. A burst of a minute on a server that counts refused starts leaves a debt,
  because as many starts are on their way as were accepted before.
"""

import argparse
import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from rich.console import Console
from rich.table import Table
from tests.limiter_model import Model, Wait, tuning

RUN_S = 2.0  #: how long a run takes


@dataclass
class Server:
    """A token bucket of `rate` starts per second. Refused starts may count too, down to a debt of one minute."""

    rate: float
    burst: float
    counts_refused: bool = False
    has_headers: bool = False
    gives_delay: bool = False
    changes: list[tuple[float, float]] = field(default_factory=list)  #: (from when, rate), in this order
    level: float = 0.0
    at: float = 0.0

    def __post_init__(self) -> None:
        self.level = self.burst

    def accepts(self, now: float) -> bool:
        while self.changes and now >= self.changes[0][0]:
            moment, rate = self.changes.pop(0)
            self._refill(moment)
            self.rate = rate
        self._refill(now)
        accepted = self.level >= 1
        if accepted or self.counts_refused:
            self.level = max(-60 * self.rate, self.level - 1)
        return accepted

    def news(self) -> dict[str, float]:
        """What a reply says: OpenAI's headers, and how long to wait after a refusal."""
        headers: dict[str, float] = {}
        if self.has_headers:
            used = max(self.burst - self.level, 0)
            limit = self.rate * 60
            headers = {
                "requests_limit": limit,
                "requests_remaining": limit - used,
                "requests_reset_s": used / self.rate,
            }
        return headers | ({"delay_s": (1 - self.level) / self.rate} if self.gives_delay and self.level < 1 else {})

    def _refill(self, now: float) -> None:
        self.level = min(self.burst, self.level + (now - self.at) * self.rate)
        self.at = now


@dataclass
class Fleet:
    """Workers with `slots` that run `jobs`, and what happened."""

    model: Model
    server: Server
    jobs: int
    slots: int
    rtt_s: float
    set_limits: dict[str, float] = field(default_factory=dict)
    run_s: float = RUN_S
    seed: int = 1
    now: float = 0.0
    refusals: int = 0
    asks: int = 0  #: refused by the limiter
    starts: list[float] = field(default_factory=list)  #: times of accepted starts
    end: float = 0.0

    def __post_init__(self) -> None:
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = itertools.count()
        self._ready = [f"j{n}" for n in range(self.jobs)][::-1]
        self._free = self.slots
        self._dice = random.Random(self.seed)

    def run(self, until: float = 10_000.0) -> None:
        self._tick()
        while self._events:
            self.now, _, act, arguments = heapq.heappop(self._events)
            if self.now > until:
                break
            act(*arguments)

    def _after(self, delay_s: float, act: Callable[..., None], *arguments: Any) -> None:
        heapq.heappush(self._events, (self.now + delay_s, next(self._numbers), act, arguments))

    def _tick(self) -> None:
        """Workers renew their leases, which dispatches too."""
        self._dispatch()
        if self._ready:
            self._after(1.0, self._tick)

    def _dispatch(self) -> None:
        while self._free and self._ready and self.model.may_dispatch(self.now):
            job = self._ready.pop()
            self.model.dispatched(self.now, job)
            self._free -= 1
            self._after(self._dice.uniform(0.002, 0.02), self._ask, job, None)

    def _ask(self, job: str, ticket: tuple[int, float] | None) -> None:
        reply = self.model.acquire(self.now, job, ticket=ticket, **self.set_limits)
        if isinstance(reply, Wait):
            self.asks += 1
            self._after(max(reply.at - self.now, 0.001) + self._dice.uniform(0, 0.005), self._ask, job, reply.ticket)
        else:
            self._after(self.rtt_s / 2 * self._dice.uniform(0.7, 1.3), self._arrive, job, self.now)

    def _arrive(self, job: str, sent_at: float) -> None:
        accepted = self.server.accepts(self.now)
        self._after(
            self.rtt_s / 2 * self._dice.uniform(0.7, 1.3), self._reply, job, sent_at, accepted, self.server.news()
        )

    def _reply(self, job: str, sent_at: float, accepted: bool, news: dict[str, float]) -> None:
        self.model.tell(self.now, job, "accepted" if accepted else "refused", sent_at=sent_at, **news)
        if accepted:
            self.starts.append(self.now)
            self._after(self.run_s, self._finish, job)
        else:
            self.refusals += 1
            self._after(0.002, self._ask, job, None)

    def _finish(self, job: str) -> None:
        self.end = self.now
        self.model.leave(self.now, job)
        self._free += 1
        self._dispatch()


@dataclass(frozen=True)
class Case:
    """Jobs on a server: enough for half a minute at least, and for more than its burst."""

    rate: float
    burst_s: float  #: 0: a burst of one start
    counts_refused: bool
    rtt_s: float
    has_headers: bool = False
    gives_delay: bool = False
    set_share: float | None = None  #: a limit is set: this share of the server's

    @property
    def name(self) -> str:
        parts = [f"{self.rate:g}/s", f"burst {self.burst:g}", f"reply {self.rtt_s * 1000:g} ms"]
        flags = {"refused count": self.counts_refused, "headers": self.has_headers, "delays": self.gives_delay}
        if self.set_share:
            parts.append(f"set to {self.set_share:.0%}")
        return ", ".join(parts + [name for name, is_set in flags.items() if is_set])

    @property
    def burst(self) -> float:
        return max(1.0, self.burst_s * self.rate)

    def run(self, parameters: SimpleNamespace, seed: int = 1) -> tuple[float, float, float]:
        """Returns the share of the ideal speed, refusals per job and refused asks per job."""
        jobs = int(self.rate * (60 if self.rate < 10 else 30) + (self.burst if self.burst_s > 1 else 0))
        server = Server(self.rate, self.burst, self.counts_refused, self.has_headers, self.gives_delay)
        limits = {"requests_per_minute": self.rate * 60 * self.set_share} if self.set_share else {}
        slots = max(200, int(self.rate * 5))
        fleet = Fleet(Model(tuning=parameters), server, jobs, slots, self.rtt_s, limits, seed=seed)
        fleet.run()
        ideal_s = max(max(0.0, jobs - self.burst) / self.rate + RUN_S, jobs / slots * RUN_S)
        return ideal_s / fleet.end, fleet.refusals / jobs, fleet.asks / jobs


def cases() -> list[Case]:
    table = itertools.product((1, 2, 20, 200), (0, 1, 60), (False, True), (0.02, 0.3))
    return [Case(rate, burst_s, counts, rtt_s) for rate, burst_s, counts, rtt_s in table if rate * burst_s != 1]


def known_cases() -> list[Case]:
    """The limit is known: from headers, or from the settings."""
    rates = [(20, counts, rtt_s) for counts in (False, True) for rtt_s in (0.02, 0.3)]
    headers = [Case(rate, 1, counts, rtt_s, has_headers=True, gives_delay=True) for rate, counts, rtt_s in rates]
    delays = [Case(rate, 1, counts, rtt_s, gives_delay=True) for rate, counts, rtt_s in rates]
    return headers + delays + [Case(rate, 1, counts, rtt_s, set_share=1) for rate, counts, rtt_s in rates]


def follow(
    parameters: SimpleNamespace, rtt_s: float, counts_refused: bool = False
) -> tuple[float | None, float | None]:
    """A limit of 20/s is halved after 60 s and doubled after 120 s. Returns after how long the starts follow, in s."""
    server = Server(20, 20, counts_refused, changes=[(60, 10), (120, 20)])
    fleet = Fleet(Model(tuning=parameters), server, 4000, 200, rtt_s)
    fleet.run(until=240)
    return _reaches(fleet.starts, 60, 10), _reaches(fleet.starts, 120, 20)


def _reaches(starts: list[float], since: float, rate: float) -> float | None:
    """Returns when the starts have kept within 15 % of a rate for 5 s, from `since`; None: never."""
    for after in range(56):
        number = sum(since + after <= moment < since + after + 5 for moment in starts)
        if 0.85 * rate * 5 <= number <= 1.15 * rate * 5:
            return float(after)
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description="Simulates the limiter against a server with a token bucket.")
    parser.add_argument("changes", nargs="*", metavar="NAME=VALUE", help="parameters of tuning.lua to change")
    parser.add_argument("--quick", action="store_true", help="leave out the long cases of 200/s")
    given = parser.parse_args()
    changes = dict(each.split("=", 1) for each in given.changes)
    parameters = tuning(**{name: float(value) for name, value in changes.items()})
    table = Table("case", "of ideal", "refusals a job", "refused asks a job")
    for case in [*cases(), *known_cases()]:
        if not given.quick or case.rate < 100:
            table.add_row(case.name, *(f"{number:.2f}" for number in case.run(parameters)))
    changed = Table("20/s, burst 20", "halved: followed after", "doubled: followed after")
    for rtt_s, counts in itertools.product((0.02, 0.3), (False, True)):
        times = ("never" if each is None else f"{each:g} s" for each in follow(parameters, rtt_s, counts))
        changed.add_row(f"reply {rtt_s * 1000:g} ms{', refused count' if counts else ''}", *times)
    Console().print(table, changed)


if __name__ == "__main__":
    main()
