"""Measures one contestant under one load."""

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import psutil
from fleet import UPSTREAM, Site, site

from speed.contestants import Contestant
from speed.cores import ANY, OTHERS, started_on
from speed.texts import prompt

Start = Callable[[Site, int, str], AbstractContextManager[Contestant]]

_WARM_JOBS = 40


@dataclass(frozen=True)
class Load:
    """`slots`: jobs in flight. `run_s`: how long a run takes on average, `spread` around it.

    `pinned`: whether Redis and the server stay off the contestant's core.
    """

    jobs: int
    slots: int
    run_s: float = 0.0
    spread: float = 0.0
    wire: str = "assistants"
    warm_jobs: int = _WARM_JOBS
    pinned: bool = True


@dataclass(frozen=True)
class Outcome:
    jobs_per_s: float
    cpu_ms: float  #: of the processes that do the work, per job
    redis_ms: float  #: likewise, of Redis
    server_ms: float
    producer_ms: float  #: of this process
    cores: float  #: how many cores all of them could use together: idle ones, and those that they used
    calls: float  #: HTTP calls per job
    late_s: float  #: mean time from the end of a run to its answer
    late_p95_s: float


def measure(start: Start, load: Load) -> Outcome:
    """Starts a site with the contestant, lets it answer some prompts, and measures how it answers the others."""
    with (
        started_on(OTHERS if load.pinned else ANY),
        site([*UPSTREAM, "--spread", str(load.spread)], durable=True) as made,
        start(made, load.slots, load.wire) as contestant,
    ):
        contestant.answer([prompt(load.run_s, number) for number in range(load.warm_jobs)])
        return _measured(made, contestant, load)


def _measured(made: Site, contestant: Contestant, load: Load) -> Outcome:
    prompts = [prompt(load.run_s, number) for number in range(load.jobs)]
    before, calls_before, started = _spent(made, contestant), made.calls(), time.time()
    answers = contestant.answer(prompts)
    spent = [late - early for early, late in zip(before, _spent(made, contestant), strict=True)]
    *used_s, idle_s, elapsed_s = spent
    worker_ms, redis_ms, server_ms, producer_ms = (each / load.jobs * 1000 for each in used_s)
    late_s = [answer.late_s for answer in answers]
    return Outcome(
        jobs_per_s=load.jobs / (max(answer.at for answer in answers) - started),
        cpu_ms=worker_ms,
        redis_ms=redis_ms,
        server_ms=server_ms,
        producer_ms=producer_ms,
        cores=(idle_s + sum(used_s)) / elapsed_s,
        calls=(made.calls() - calls_before) / load.jobs,
        late_s=statistics.mean(late_s),
        late_p95_s=statistics.quantiles(late_s, n=20)[-1],
    )


def _spent(made: Site, contestant: Contestant) -> tuple[float, ...]:
    """Returns the CPU seconds of the contestant, Redis, the server and this process; the idle ones; and the time."""
    used, machine = made.redis.info("cpu"), psutil.cpu_times()
    return (
        cpu_s(contestant.pids),
        used["used_cpu_user"] + used["used_cpu_sys"],
        cpu_s([made.server_pid]),
        time.process_time(),
        machine.idle + getattr(machine, "iowait", 0.0),  # only Linux tells the second
        time.monotonic(),
    )


def family(pids: Sequence[int]) -> list[psutil.Process]:
    """Returns the processes and all their children."""
    parents = [psutil.Process(pid) for pid in pids]
    return [*parents, *(child for parent in parents for child in parent.children(recursive=True))]


def cpu_s(pids: Sequence[int]) -> float:
    times = [process.cpu_times() for process in family(pids)]
    return float(sum(each.user + each.system for each in times))
