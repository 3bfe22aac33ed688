"""A document set over Chat Completions, on a server that works on 64 requests at a time, beside a bare script."""

import statistics
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from fleet import EMULATOR, Site, site
from measured import Measured
from speed import contestants
from speed.cores import OTHERS, started_on
from speed.measure import Start
from speed.replies import ENDED_AT

from limit_cases.size import Size

AT_ONCE = 64
RUN_S = 2.0
SLOTS = 200  #: of the worker: more than the server takes
GOOD_SHARE = 0.95  #: of the script's throughput
LEARNED_SHARE = 0.85  #: likewise, while workers find out how much the server takes

QUEUES = ("--slots", str(AT_ONCE))
REFUSES = ("--concurrency", str(AT_ONCE))

_WARM = 40
_SAMPLED_S = 0.25


@dataclass(frozen=True)
class _Drain:
    """How a contestant had all documents answered."""

    per_s: float
    working: float  #: how many requests the server worked on, as the median while there was enough to do
    refused: int


def queued(size: Size) -> Iterator[Measured]:
    """Documents of 2 s over Chat Completions; the server works on 64 at a time, and queues the others."""
    yield from _beside_script(size, QUEUES, share=GOOD_SHARE, refusals=0)


def refused_set(size: Size) -> Iterator[Measured]:
    """The same; the server refuses the others, and the limit is set."""
    yield from _beside_script(size, REFUSES, share=GOOD_SHARE, refusals=0.02, limits={"concurrent": AT_ONCE})


def refused(size: Size) -> Iterator[Measured]:
    """The same; the server refuses the others, and nothing is set: workers learn how many it takes."""
    yield from _beside_script(size, REFUSES, share=LEARNED_SHARE, refusals=0.05)


def _beside_script(
    size: Size, options: Sequence[str], share: float | None, refusals: float, limits: Mapping[str, Any] | None = None
) -> Iterator[Measured]:
    script = _drained(contestants.script, AT_ONCE, size.documents, options)
    ours = _drained(partial(contestants.threadmill, limits=limits), SLOTS, size.documents, options)
    yield Measured("documents/s of a script with a semaphore of 64", script.per_s)
    yield Measured("documents/s, times the script's", ours.per_s / script.per_s, at_least=share)
    yield Measured("the server works on, median", ours.working, at_least=share and share * AT_ONCE)
    yield Measured("the same of the script", script.working)
    yield Measured("refusals a document", ours.refused / size.documents, at_most=refusals)


def _drained(start: Start, slots: int, documents: int, options: Sequence[str]) -> _Drain:
    with (
        started_on(OTHERS),
        site([*EMULATOR, *options], durable=True) as made,
        start(made, slots, "chat") as contestant,
    ):
        contestant.answer(_prompts(_WARM, run_s=0))
        made.server("/_reset", now=True)
        began = time.time()
        with _Samples(made) as samples:
            answers = contestant.answer(_prompts(documents, RUN_S))
        took_s = max(answer.at for answer in answers) - began
        return _Drain(documents / took_s, samples.median, made.server("/_limits")["refused"])


def _prompts(number: int, run_s: float) -> list[str]:
    """Each is its own answer, of which the script reads the beginning."""
    return [f"[[scenario=echo run_s={run_s}]]{ENDED_AT}0 Document {each}" for each in range(number)]


class _Samples:
    """How many requests the server works on, again and again."""

    def __init__(self, made: Site) -> None:
        self._made, self._seen, self._over = made, list[int](), threading.Event()
        self._thread = threading.Thread(target=self._watch)

    @property
    def median(self) -> float:
        """While most documents wait: the first and the last tenth of the time do not count."""
        edge = len(self._seen) // 10
        return statistics.median(self._seen[edge : len(self._seen) - edge])

    def _watch(self) -> None:
        while not self._over.wait(_SAMPLED_S):
            self._seen.append(self._made.server("/_stats")["completions"]["active"])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
