"""Cases of `scripts/bench speed` about what jobs take of Redis and of a worker's memory."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import psutil
from fleet import ENDPOINT, UPSTREAM, Fleet, fleet_on, site
from measured import Measured

from speed.measure import family
from speed.size import Size
from speed.texts import prompt

_FINISHED = 1_000
_LOG_ABOVE_US = 1_000
_NEVER_ENDS_S = 120


def stored(size: Size) -> Iterator[Measured]:
    """What a job takes in Redis, with a prompt and an answer of 1 kB, and how fast jobs are enqueued."""
    with site(UPSTREAM, durable=True) as made, fleet_on(made, 0, 200, "assistants") as ours:
        empty, began = _used(ours), time.monotonic()
        ours.client.enqueue_many(_jobs(size.queued))
        rate = size.queued / (time.monotonic() - began)
        yield Measured("jobs enqueued in a second", rate, "/s", at_least=4_000)
        yield Measured("Redis for a queued job", (_used(ours) - empty) / size.queued / 1000, "kB", at_most=2.5)
    with site(UPSTREAM, durable=True) as made, fleet_on(made, 1, 200, "assistants") as ours:
        empty = _used(ours)
        ours.client.enqueue_many(_jobs(_FINISHED))
        ours.drain("measured")
        yield Measured("Redis for a finished job", (_used(ours) - empty) / _FINISHED / 1000, "kB", at_most=3.5)


def queued(size: Size) -> Iterator[Measured]:
    """The longest command of Redis while many jobs wait, by the clock; one worker runs some, and sweeps come often."""
    often = {"sweep_interval_s": 2}
    with site(UPSTREAM, durable=True) as made, fleet_on(made, 1, 200, "assistants", settings=often) as ours:
        ours.redis.config_set("slowlog-max-len", 10_000)
        ours.redis.config_set("slowlog-log-slower-than", _LOG_ABOVE_US)
        ours.client.enqueue_many(_jobs(size.queued))
        until = time.monotonic() + 10
        while time.monotonic() < until:
            ours.client.batch("measured")
            ours.client.workers()
            time.sleep(0.2)
        log = ours.redis.slowlog_get(10_000)
        yield Measured("jobs that wait", ours.client.batch("measured").open)
        yield Measured(f"commands above {_LOG_ABOVE_US / 1000:g} ms", len(log))
        longest = max((entry["duration"] for entry in log), default=0)
        yield Measured("longest command of Redis", longest / 1000, "ms", at_most=10)


def memory(size: Size) -> Iterator[Measured]:
    """The memory of one worker process with many runs in flight; shared pages are counted in part."""
    with site(UPSTREAM, durable=True) as made, fleet_on(made, 1, size.in_flight, "assistants") as ours:
        idle = _pss_mb(ours)
        ours.client.enqueue_many(_jobs(size.in_flight, _NEVER_ENDS_S))
        while ours.server("/_stats")["calls"].get("runs.create", 0) < size.in_flight:
            time.sleep(0.1)
        time.sleep(2)  # until each run has been polled
        yield Measured("memory of an idle worker", idle, "MB")
        yield Measured(f"memory with {size.in_flight:,} runs in flight", _pss_mb(ours), "MB", at_most=250)


def _jobs(number: int, run_s: float = 0) -> Iterator[Mapping[str, Any]]:
    for each in range(number):
        yield {"endpoint": ENDPOINT, "batch": "measured", "prompt": prompt(run_s, each)}


def _used(ours: Fleet) -> int:
    return int(ours.redis.info("memory")["used_memory"])


def _pss_mb(ours: Fleet) -> float:
    processes: list[psutil.Process] = family([worker.pid for worker in ours.workers])
    return float(sum(each.memory_full_info().pss for each in processes)) / 1e6
