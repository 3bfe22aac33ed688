"""How long an urgent job and small batches wait behind large ones."""

import statistics
import time
from collections.abc import Iterator
from datetime import timedelta

from fleet import ENDPOINT, Fleet, fleet
from measured import Measured

from limit_cases.drains import RUN_S
from limit_cases.size import Size
from threadmill import JobHandle

URGENT = 10  #: urgent jobs, one after another
SMALL = 100  #: jobs of a small batch
GIVE_UP_S = 60


def urgent(size: Size) -> Iterator[Measured]:
    """Urgent jobs behind many others of 2 s; 2 workers with 100 slots each."""
    with fleet(workers=2, wire=size.wire) as ours:
        began = time.monotonic()
        ours.enqueue(_prompts(size.queued), "many")
        yield Measured("jobs enqueued in a second", size.queued / (time.monotonic() - began), "/s")
        yield Measured("jobs that wait", ours.client.batch("many").open)
        waits = []
        for _ in range(URGENT):
            job = {"prompt": f"[[run_s={RUN_S}]] urgent", "endpoint": ENDPOINT, "priority": "high"}
            waits.append(_waited_s(ours.client.enqueue(job)))
            if waits[-1] >= GIVE_UP_S:
                break
        yield Measured("from enqueue to start, median", statistics.median(waits), "s")
        yield Measured("from enqueue to start, most", max(waits), "s", at_most=1)


def batches(size: Size) -> Iterator[Measured]:
    """Two batches of 100 behind one of 10,000, jobs of 2 s; 2 workers with 100 slots each."""
    with fleet(workers=2, wire=size.wire) as ours:
        alone_s = _time_s(ours, "alone")
        yield Measured("100 jobs alone", alone_s, "s")
        ours.enqueue(_prompts(size.large), "large")
        time.sleep(RUN_S)  # all slots are busy with the large batch
        began = time.monotonic()
        for name in ("first", "second"):
            ours.enqueue(_prompts(SMALL), name)
        for name in ("first", "second"):
            ours.drain(name, within_s=20 * alone_s)
            record = ours.client.batch(name)
            took_s = (time.monotonic() - began) if not record.open else float("inf")
            yield Measured(f"times as long: the {name} batch of 100", took_s / alone_s, at_most=3)
        yield Measured("jobs of the large batch still waiting", ours.client.batch("large").open)


def _prompts(jobs: int) -> list[str]:
    return [f"[[run_s={RUN_S}]] {number}" for number in range(jobs)]


def _time_s(ours: Fleet, name: str) -> float:
    began = time.monotonic()
    ours.enqueue(_prompts(SMALL), name)
    ours.drain(name)
    return time.monotonic() - began


def _waited_s(handle: JobHandle) -> float:
    """Returns the time from the creation of the job to its start, by Redis' clock; at most GIVE_UP_S."""
    give_up_at = time.monotonic() + GIVE_UP_S
    while time.monotonic() < give_up_at:
        record = handle.get()
        if record.started_at:
            return (record.started_at - record.created_at) / timedelta(seconds=1)
        time.sleep(0.05)
    return GIVE_UP_S
