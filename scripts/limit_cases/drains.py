"""How close a fleet comes to the time that the server's limit allows, and how often it is refused."""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fleet import Fleet, fleet
from measured import Measured

from limit_cases.size import Size
from threadmill import JobState

PER_MINUTE = 1200
RUN_S = 2.0
TOKENS_PER_MINUTE = 600_000
ESTIMATE = 500  #: tokens that a job without max_completion_tokens is estimated to use for its answer
KILL_EVERY_S = (5.0, 9.0)

SILENT = ("--rate-headers", "none", "--no-retry-after")


def headers(size: Size) -> Iterator[Measured]:
    """600 jobs of 2 s at 1,200 a minute, limit unknown; the server's headers tell it."""
    yield from _requests(size, (), share=0.95, refusals=0.02)


def limit_set(size: Size) -> Iterator[Measured]:
    """The same; the limit is set, and the server tells nothing."""
    yield from _requests(size, SILENT, share=0.95, refusals=0.02, limits={"requests_per_minute": PER_MINUTE})


def no_headers(size: Size) -> Iterator[Measured]:
    """The same, limit unknown; the server tells nothing."""
    yield from _requests(size, SILENT, share=0.85, refusals=0.3)


def refused_counted(size: Size) -> Iterator[Measured]:
    """The same, limit unknown, with headers; refused requests count too."""
    yield from _requests(size, ("--count-refused",), share=0.90, refusals=None)


def refused_counted_silent(size: Size) -> Iterator[Measured]:
    """The same, limit unknown, without headers; refused requests count too."""
    yield from _requests(size, ("--count-refused", *SILENT), share=None, refusals=None)


def tokens_low(size: Size) -> Iterator[Measured]:
    """Tokens per minute are the limit, and set; each job uses twice what was estimated."""
    yield from _tokens(size, 2 * ESTIMATE)


def tokens_high(size: Size) -> Iterator[Measured]:
    """Tokens per minute are the limit, and set; each job uses half of what was estimated."""
    yield from _tokens(size, ESTIMATE // 2)


def killed(size: Size) -> Iterator[Measured]:
    """The same as headers with 4 workers; every few seconds one is killed (-9) and another started."""
    dice, jobs = random.Random(7), size.jobs
    limits = {"concurrent": 100}
    with fleet(workers=4, wire=size.wire, emulator=_limited(()), limits=limits) as ours:
        next_kill = time.monotonic() + KILL_EVERY_S[0]

        def kill() -> None:
            nonlocal next_kill
            few_started = ours.server("/_limits")["accepted"] < 0.8 * jobs
            if time.monotonic() > next_kill and few_started:
                ours.kill_worker(dice.choice(ours.workers))
                ours.start_worker()
                next_kill = time.monotonic() + dice.uniform(*KILL_EVERY_S)

        yield from _drain(ours, _prompts(jobs), PER_MINUTE / 60, 0.90, None, kill)
        yield Measured("permits of the pool that are still taken", _permits(ours), at_most=0)


def _requests(
    size: Size,
    options: Sequence[str],
    share: float | None,
    refusals: float | None,
    limits: Mapping[str, Any] | None = None,
) -> Iterator[Measured]:
    with fleet(workers=2, wire=size.wire, emulator=_limited(options), limits=limits) as ours:
        yield from _drain(ours, _prompts(size.jobs), PER_MINUTE / 60, share, refusals)


def _tokens(size: Size, used: int) -> Iterator[Measured]:
    per_s = TOKENS_PER_MINUTE / 60 / used
    jobs = round(size.jobs * per_s / (PER_MINUTE / 60))
    options = ("--tokens-per-minute", str(TOKENS_PER_MINUTE))
    limits = {"tokens_per_minute": TOKENS_PER_MINUTE}
    with fleet(workers=2, wire=size.wire, emulator=options, limits=limits) as ours:
        prompts = _prompts(jobs, f"used_tokens={used}")
        yield from _drain(ours, prompts, per_s, 0.90, None)


def _limited(options: Sequence[str]) -> Sequence[str]:
    return ("--requests-per-minute", str(PER_MINUTE), *options)


def _prompts(jobs: int, marker: str = "") -> list[str]:
    return [f"[[run_s={RUN_S} {marker}]] {number}" for number in range(jobs)]


def _drain(
    ours: Fleet,
    prompts: Sequence[str],
    per_s: float,
    share: float | None,
    refusals: float | None,
    meanwhile: Callable[[], None] = lambda: None,
) -> Iterator[Measured]:
    """`per_s`: jobs that the server starts in a second; it starts the first second's worth at once."""
    ideal_s = (len(prompts) - per_s) / per_s + RUN_S
    began = time.monotonic()
    ours.enqueue(prompts, "drain")
    ours.drain("drain", meanwhile, within_s=10 * ideal_s)
    took_s = time.monotonic() - began
    batch, seen = ours.client.batch("drain"), ours.server("/_limits")
    yield Measured("ideal time", ideal_s, "s")
    yield Measured("share of the ideal", ideal_s / took_s, at_least=share)
    yield Measured("refusals a job", seen["refused"] / len(prompts), at_most=refusals)
    yield Measured("jobs that did not succeed", batch.total - batch.jobs.get(JobState.SUCCEEDED, 0), at_most=0)


def _permits(ours: Fleet) -> int:
    return sum(int(ours.redis.hlen(key)) for key in ours.redis.scan_iter("*pool:*:jobs"))
