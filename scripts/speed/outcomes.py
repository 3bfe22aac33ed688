"""The outcomes of contestants under the same load, side by side."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass

from measured import Measured

from speed import contestants
from speed.measure import Load, Outcome, Start, measure

SCRIPT, CELERY, TASKIQ, OURS = "script", "Celery", "taskiq", "threadmill"

#: Whose answers are compared on both wires.
US_AND_SCRIPT: Mapping[str, Start] = {SCRIPT: contestants.script, OURS: contestants.threadmill}


@dataclass(frozen=True)
class Figures:
    """What one contestant did under one load."""

    load: str
    contestant: str
    outcome: Outcome


Case = Iterator[Measured | Figures]


def everybody() -> Mapping[str, Start]:
    """Returns the contestants that are installed."""
    others = {CELERY: contestants.celery_threads} | ({TASKIQ: contestants.taskiq} if contestants.has_taskiq() else {})
    return {**US_AND_SCRIPT, **others}


def outcomes_of(load: Load, rounds: int, starts: Mapping[str, Start]) -> dict[str, Outcome]:
    """Measures all contestants one after another, several times, and returns the medians."""
    measured = [{name: measure(start, load) for name, start in starts.items()} for _ in range(rounds)]
    return {name: _median([each[name] for each in measured]) for name in starts}


def figures(load: str, outcomes: Mapping[str, Outcome]) -> Iterator[Figures]:
    for contestant, outcome in outcomes.items():
        yield Figures(load, contestant, outcome)


def _median(outcomes: Sequence[Outcome]) -> Outcome:
    return Outcome(*map(statistics.median, zip(*map(astuple, outcomes), strict=True)))
