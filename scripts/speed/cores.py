"""Which cores a process may use: the measured one has a core of its own, where there is more than one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

_ALL = frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()

#: The core of the measured process, and those of everything else; none on a machine with one core, or without affinity.
MEASURED = frozenset({min(_ALL)}) if len(_ALL) > 1 else frozenset()
OTHERS = _ALL - MEASURED if MEASURED else frozenset()
ANY: frozenset[int] = frozenset()


@contextmanager
def started_on(cores: frozenset[int]) -> Iterator[None]:
    """Processes that are started inside stay on these cores. Nothing changes if there are none."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
