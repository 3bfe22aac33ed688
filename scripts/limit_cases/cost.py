"""What limits cost: calls to Redis and CPU time, against a fleet with nothing set, in the same run."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from fleet import Fleet, fleet
from measured import Measured

from limit_cases.size import Size

REPEATS = 3
NEVER_REACHED: Mapping[str, Any] = {"requests_per_minute": 6_000_000, "tokens_per_minute": 6_000_000_000}


@dataclass(frozen=True)
class Cost:
    """Of one job."""

    calls: float  #: to Redis, by all clients
    worker_ms: float  #: CPU time of the workers
    redis_ms: float  #: CPU time of Redis


def cost(size: Size) -> Iterator[Measured]:
    """Jobs of 0.5 s without a limit of the server: limits set that are never reached, against nothing set."""
    repeats = [(_cost(size, None), _cost(size, NEVER_REACHED)) for _ in range(REPEATS)]
    without, limited = (_median(each) for each in zip(*repeats, strict=True))
    yield Measured("script calls to Redis a job, nothing set", without.calls)
    yield Measured("more script calls a job with limits", limited.calls - without.calls, at_most=1)
    yield Measured("CPU of workers a job, nothing set", without.worker_ms, "ms")
    yield Measured("times the CPU of workers with limits", limited.worker_ms / without.worker_ms, at_most=1.05)
    yield Measured("CPU of Redis a job, nothing set", without.redis_ms, "ms")
    yield Measured("times the CPU of Redis with limits", limited.redis_ms / without.redis_ms)


def _median(costs: Sequence[Cost]) -> Cost:
    return Cost(*map(statistics.median, zip(*map(astuple, costs), strict=True)))


def _cost(size: Size, limits: Mapping[str, Any] | None) -> Cost:
    with fleet(workers=1, wire=size.wire, limits=limits) as ours:
        _run(ours, 50, "warm")
        before = _calls(ours), ours.worker_cpu_s(), _redis_cpu_s(ours)
        _run(ours, size.jobs, "measured")
        after = _calls(ours), ours.worker_cpu_s(), _redis_cpu_s(ours)
    calls, worker_s, redis_s = ((late - early) / size.jobs for early, late in zip(before, after, strict=True))
    return Cost(calls, worker_s * 1000, redis_s * 1000)


def _run(ours: Fleet, jobs: int, batch: str) -> None:
    ours.enqueue([f"[[run_s=0.5]] {number}" for number in range(jobs)], batch)
    ours.drain(batch)


def _calls(ours: Fleet) -> int:
    """Returns how many scripts the clients have run: what they do for a job is in scripts."""
    stats = ours.redis.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "eval", "fcall"))


def _redis_cpu_s(ours: Fleet) -> float:
    used = ours.redis.info("cpu")
    return float(used["used_cpu_user"] + used["used_cpu_sys"])
