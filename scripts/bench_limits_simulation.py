"""Simulates the limiter of a fleet against a server with limits, to choose the parameters of tuning.lua.

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
import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

from rich.console import Console
from rich.table import Table
from scripts.simulated_fleet import RUN_S, Fleet, Server
from tests.limiter_model import Model, tuning


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


@dataclass(frozen=True)
class PlacesCase:
    """Jobs on a server that works on so many at a time: `places`, and from `changed_at_s` on `changed`."""

    places: int
    run_s: float = RUN_S
    is_call: bool = True
    spread: float = 0.0
    rtt_s: float = 0.02
    rate: float = math.inf  #: that the server bears, too
    changed: int | None = None
    changed_at_s: float = 30.0
    jobs: int = 1000
    slots: int = 200

    @property
    def name(self) -> str:
        kind = "calls" if self.is_call else "runs"
        spread = f" ± {self.spread:.0%}" if self.spread else ""
        parts = [f"{self.places} at a time", f"{kind} of {self.run_s:g} s{spread}", f"reply {self.rtt_s * 1000:g} ms"]
        if self.changed:
            parts.append(f"{self.changed} after {self.changed_at_s:g} s")
        if math.isfinite(self.rate):
            parts.append(f"{self.rate:g}/s")
        return ", ".join([*parts, f"{self.slots} slots"])

    def run(self, parameters: SimpleNamespace, seed: int = 1) -> tuple[float, float, float]:
        """Returns the share of the ideal speed, refusals per job and refused asks per job."""
        changes = [(self.changed_at_s, float(self.changed))] if self.changed else []
        burst = self.rate if math.isfinite(self.rate) else 1.0
        server = Server(self.rate, burst, places=self.places, place_changes=changes)
        fleet = Fleet(
            Model(tuning=parameters),
            server,
            self.jobs,
            self.slots,
            self.rtt_s,
            run_s=self.run_s,
            spread=self.spread,
            is_call=self.is_call,
            seed=seed,
        )
        fleet.run()
        return self._ideal_s() / fleet.end, fleet.refusals / self.jobs, fleet.asks / self.jobs

    def _ideal_s(self) -> float:
        """How long the jobs take if every place that the slots can fill is always taken."""
        before = min(self.places / self.run_s, self.slots / self.run_s, self.rate)
        after = min((self.changed or self.places) / self.run_s, self.slots / self.run_s, self.rate)
        left = self.jobs - before * self.changed_at_s
        return self.changed_at_s + left / after if left > 0 and self.changed else self.jobs / before


def places_cases() -> list[PlacesCase]:
    fixed = [
        PlacesCase(places, run_s, is_call, jobs=max(400, min(2000, int(40 * places / run_s))), slots=slots)
        for places, run_s, is_call, slots in itertools.product((4, 64), (0.5, 2, 60), (True, False), (200, 1000))
    ]
    real = [
        PlacesCase(64, 5, spread=0.8),
        PlacesCase(64, 2, rtt_s=0.3),
        PlacesCase(1),
        PlacesCase(300, slots=1000, jobs=4000),
    ]
    changing = [
        PlacesCase(64, is_call=is_call, changed=changed, jobs=2000)
        for is_call, changed in itertools.product((True, False), (32, 128))
    ]
    both = [PlacesCase(64, rate=rate, is_call=is_call) for rate, is_call in itertools.product((20, 40), (True, False))]
    return [*fixed, *real, *changing, *both]


def call_cases() -> list[PlacesCase]:
    """Chat Completions on a server that limits starts alone."""
    lengths = [(0.5, 0.0), (2.0, 0.0), (5.0, 0.8), (60.0, 0.0)]
    return [
        PlacesCase(10**6, run_s, is_call, spread, rate=rate, jobs=int(rate * 60), slots=max(200, int(rate * run_s * 2)))
        for rate, (run_s, spread), is_call in itertools.product((1, 20), lengths, (True, False))
    ]


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
    Console(width=160).print(table, changed, _table("places", [*places_cases(), *call_cases()], parameters))


def _table(title: str, cases: Sequence[PlacesCase], parameters: SimpleNamespace) -> Table:
    table = Table(title, "of ideal", "refusals a job", "refused asks a job")
    for case in cases:
        shares, refusals, asks = zip(*(case.run(parameters, seed) for seed in range(1, 4)), strict=True)
        table.add_row(case.name, *(f"{statistics.mean(each):.2f}" for each in (shares, refusals, asks)))
    return table


if __name__ == "__main__":
    main()
