"""Cases of `scripts/bench speed` about jobs: what one costs, and how soon its result is there."""

from collections.abc import Iterator, Mapping

from measured import Measured

from speed import contestants
from speed.measure import Load, Outcome, measure
from speed.outcomes import OURS, SCRIPT, US_AND_SCRIPT, Case, everybody, figures, outcomes_of
from speed.size import Size

_PROCESSES = 2
_GOOD_SHARE = 0.85  #: of the jobs/s that the cores allow: 1.7 times, where they allow twice those of one process
_CALLS = {5: 7, 20: 8}  #: at most, by the seconds of a run
_LATE_S = 0.4


def instant(size: Size) -> Case:
    """Runs that end at once, 200 in flight, on the Assistants API."""
    outcomes = outcomes_of(Load(size.instant, 200), size.rounds, everybody())
    yield from figures("instant", outcomes)
    yield from _against_script("instant runs", outcomes, rate=0.8, cpu=1.5)


def responses(size: Size) -> Case:
    """Runs that end at once, 200 in flight, on the Responses API."""
    outcomes = outcomes_of(Load(size.instant, 200, wire="responses"), size.rounds, US_AND_SCRIPT)
    yield from figures("responses", outcomes)
    yield from _against_script("instant responses", outcomes, rate=0.8, cpu=1.5)


def chat(size: Size) -> Case:
    """Calls that are answered at once, 200 in flight, on Chat Completions."""
    outcomes = outcomes_of(Load(size.instant, 200, wire="chat"), size.rounds, US_AND_SCRIPT)
    yield from figures("chat", outcomes)
    yield from _against_script("instant completions", outcomes, rate=0.8, cpu=1.5)


def long(size: Size) -> Case:
    """Runs of 5 s, 500 in flight: 100 jobs/s if nothing costs time."""
    outcomes = outcomes_of(Load(size.long, 500, run_s=5), size.rounds, everybody())
    yield from figures("5 s", outcomes)
    yield from _against_script("5 s runs", outcomes, rate=1.1)


def late(size: Size) -> Case:
    """How long after the end of a run its result is there; 20 in flight, after 20 others that took as long."""
    for run_s in size.late_s:
        for spread in (0, 0.2):
            load = Load(60 if run_s < 10 else 20, 20, run_s=run_s, spread=spread, warm_jobs=20)
            name = f"{run_s:g} s ±{spread:.0%}" if spread else f"{run_s:g} s alike"
            outcomes = outcomes_of(load, 1, US_AND_SCRIPT)
            yield from figures(name, outcomes)
            yield from _lateness(f"{run_s:g} s runs" + (f" ±{spread:.0%}" if spread else ""), run_s, spread, outcomes)


def processes(size: Size) -> Case:
    """One and two worker processes on all cores, with Redis, the server and the producer on the same ones."""
    load = Load(size.scaled, 100, pinned=False)
    one, two = (measure(contestants.threadmill_on_all_cores(number), load) for number in (1, _PROCESSES))
    yield from figures("all cores", {"1 process": one, "2 processes": two})
    possible = _possible_jobs_per_s(two, _PROCESSES)
    yield Measured("2 processes: jobs/s that the cores allow", possible)
    yield Measured("2 processes: jobs/s, times what the cores allow", two.jobs_per_s / possible, at_least=_GOOD_SHARE)
    yield Measured("2 processes: jobs/s, times one's", two.jobs_per_s / one.jobs_per_s)
    yield Measured("what the cores allow", possible / _possible_jobs_per_s(one, 1))


def _possible_jobs_per_s(measured: Outcome, processes: int) -> float:
    """Returns how many jobs/s the cores allow, by the CPU time of each part: all but the workers are one process."""
    alone = (measured.redis_ms, measured.server_ms, measured.producer_ms)
    together = measured.cores / (measured.cpu_ms + sum(alone))
    return 1000 * min(together, processes / measured.cpu_ms, *(1 / each for each in alone))


def _against_script(
    what: str, outcomes: Mapping[str, Outcome], *, rate: float, cpu: float | None = None
) -> Iterator[Measured]:
    """Compares us with the script. `rate`, `cpu`: at least and at most these shares of the script's."""
    ours, script = outcomes[OURS], outcomes[SCRIPT]
    yield Measured(f"{what}: jobs/s, times the script's", ours.jobs_per_s / script.jobs_per_s, at_least=rate)
    yield Measured(f"{what}: CPU a job, times the script's", ours.cpu_ms / script.cpu_ms, at_most=cpu)


def _lateness(what: str, run_s: float, spread: float, outcomes: Mapping[str, Outcome]) -> Iterator[Measured]:
    """The goals are for runs that take alike: the time of others cannot be known before."""
    late_s, calls = (None, None) if spread else (_LATE_S, _CALLS[int(run_s)])
    ours = outcomes[OURS]
    yield Measured(f"{what}: result after the end, mean", ours.late_s, "s", at_most=late_s)
    yield Measured(f"{what}: calls a job", ours.calls, at_most=calls)
