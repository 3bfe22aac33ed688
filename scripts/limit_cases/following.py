"""How soon the fleet follows a limit that the server changes meanwhile."""

import itertools
import math
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fleet import Fleet, fleet
from measured import Measured

from limit_cases.drains import PER_MINUTE, RUN_S, SILENT
from limit_cases.size import Size

WINDOW_S = 5.0  #: the rate is that of so many seconds
FULL = 0.85  #: the share of the limit that must be used
REFUSED = 0.1  #: refusals for each accepted call that are taken for probing


class Sample(NamedTuple):
    at: float
    accepted: int
    refused: int


def with_headers(size: Size) -> Iterator[Measured]:
    """The limit is halved, then doubled again; the server's headers tell it."""
    yield from _follow(size, ())


def without_headers(size: Size) -> Iterator[Measured]:
    """The limit is halved, then doubled again; the server tells nothing."""
    yield from _follow(size, SILENT)


def _follow(size: Size, options: Sequence[str]) -> Iterator[Measured]:
    emulator = ("--requests-per-minute", str(PER_MINUTE), *options)
    with fleet(workers=2, wire=size.wire, emulator=emulator) as ours:
        enough = round(3 * size.hold_s * PER_MINUTE / 60 * 1.2)
        ours.enqueue([f"[[run_s={RUN_S}]] {number}" for number in range(enough)], "follow")
        phases = []
        for per_minute in (PER_MINUTE, PER_MINUTE / 2, PER_MINUTE):
            ours.server("/_limits", requests_per_minute=per_minute)
            phases.append((per_minute / 60, list(_watch(ours, size.hold_s))))
    for name, (per_s, samples) in zip(("at first", "when halved", "when doubled"), phases, strict=True):
        most = None if name == "at first" else 30
        yield Measured(f"until the rate follows, {name}", follows_after_s(samples, per_s), "s", at_most=most)
        accepted, refused = (samples[-1][each] - samples[0][each] for each in (1, 2))
        yield Measured(f"refusals for each start, {name}", refused / max(1, accepted))


def _watch(ours: Fleet, for_s: float) -> Iterator[Sample]:
    end = time.monotonic() + for_s
    while (now := time.monotonic()) < end:
        seen = ours.server("/_limits")
        yield Sample(now, seen["accepted"], seen["refused"])
        time.sleep(0.25)


def follows_after_s(samples: Sequence[Sample], per_s: float) -> float:
    """Returns the time from which the rate is that of the limit, without many refusals."""
    for first in samples:
        last = next(itertools.dropwhile(lambda each: each.at < first.at + WINDOW_S, samples), None)  # noqa: B023
        if last is None:
            break
        accepted, refused = last.accepted - first.accepted, last.refused - first.refused
        if accepted >= FULL * per_s * (last.at - first.at) and refused <= REFUSED * accepted:
            return first.at - samples[0].at
    return math.inf
