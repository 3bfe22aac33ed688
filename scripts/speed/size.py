"""How large the cases are."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    instant: int  #: jobs whose runs end at once
    scaled: int  #: likewise, for one process and for several
    long: int  #: jobs of 5 s
    rounds: int  #: of all contestants, one after another; the median counts
    late_s: Sequence[float]  #: how long the runs take whose answers are awaited
    queued: int  #: jobs that wait in Redis
    in_flight: int  #: runs in flight while memory is measured


FULL = Size(instant=2_000, scaled=4_000, long=2_000, rounds=3, late_s=(5, 20), queued=100_000, in_flight=1_000)
QUICK = Size(instant=400, scaled=2_000, long=1_000, rounds=1, late_s=(5,), queued=10_000, in_flight=1_000)
