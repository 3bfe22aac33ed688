"""How long the last runs took, as workers note it in Redis."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Self

#: The longest run that is remembered.
_LONGEST_S = 86_400.0


@dataclass(frozen=True)
class RunDurations:
    """How long the last runs of one assistant and model took, from their start to an answer or to tool calls.

    Workers keep few durations of each assistant and model, the newest.
    """

    endpoint: str
    assistant: str | None  #: None: the jobs named none
    model: str | None  #: None: the assistant's
    runs: int  #: how many durations are known
    median_s: float
    p90_s: float  #: 90 % of the runs took at most so long

    @classmethod
    def read(cls, name: str, stored: Iterable[str]) -> Self | None:
        """`name`: ENDPOINT/ASSISTANT/MODEL. Returns None if no value is readable."""
        durations = sorted(readable_durations(stored))
        if not durations:
            return None
        endpoint, _, rest = name.partition("/")
        assistant, _, model = rest.partition("/")  # only a model's name may have a slash
        return cls(
            endpoint=endpoint,
            assistant=assistant or None,
            model=model or None,
            runs=len(durations),
            median_s=median(durations),
            p90_s=durations[math.ceil(0.9 * len(durations)) - 1],
        )


def readable_durations(stored: Iterable[str]) -> list[float]:
    """Returns the durations in seconds; a damaged value counts as missing."""
    return [duration_s for value in stored if (duration_s := _read(value)) is not None]


def _read(value: str) -> float | None:
    try:
        duration_s = float(value)
    except ValueError:
        return None
    return duration_s if 0 < duration_s <= _LONGEST_S else None
