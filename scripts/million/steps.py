"""The steps of `scripts/bench million`. Each works on the jobs that the ones before have left."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import redis
from measured import Measured
from speed.texts import prompt

from million.reader import Reader
from million.worker import Worker
from threadmill import Client, Settings
from threadmill.store.keys import Keys
from threadmill_worker.maintenance import sweep

HUGE, CANCELLED = "huge", "cancelled"  #: names of batches
TENANTS = 1_000
_SLOTS = 200
_AT_ONCE = 3_000
_HELD_S = 5

#: Told how many of a step's items are done, and of how many.
Progress = Callable[[int, int], None]


@dataclass
class Trial:
    settings: Settings
    client: Client
    redis: redis.Redis
    jobs: int
    share: int  #: a tenth of the jobs, but not more than the steps that take long per job need
    progress: Progress = lambda done, total: None
    queued_bytes: float = 0  #: of Redis for a queued job

    @property
    def keys(self) -> Keys:
        return Keys(self.settings.key_prefix)

    def used_bytes(self) -> int:
        return int(self.redis.info("memory")["used_memory"])

    def redis_cpu_s(self) -> float:
        used = self.redis.info("cpu")
        return float(used["used_cpu_user_main_thread"] + used["used_cpu_sys_main_thread"])


def enqueue(trial: Trial) -> Iterator[Measured]:
    """Jobs are enqueued, most of them in one batch, for 1,000 tenants."""
    empty, marks = trial.used_bytes(), [(0, time.monotonic(), trial.redis_cpu_s())]
    for start in range(0, trial.jobs, _AT_ONCE):
        numbers = range(start, min(start + _AT_ONCE, trial.jobs))
        trial.client.enqueue_many(_job(number) for number in numbers)
        marks.append((numbers.stop, time.monotonic(), trial.redis_cpu_s()))
        trial.progress(numbers.stop, trial.jobs)
    trial.queued_bytes = (trial.used_bytes() - empty) / trial.jobs
    tenth = max(1, len(marks) // 10)
    for name, (before, after) in {
        "first": (marks[0], marks[tenth]),
        "last": (marks[-1 - tenth], marks[-1]),
    }.items():
        jobs, took_s, cpu_s = (late - early for early, late in zip(before, after, strict=True))
        yield Measured(f"enqueued in a second, {name} tenth", jobs / took_s, "/s")
        yield Measured(f"CPU of Redis to enqueue a job, {name} tenth", cpu_s / jobs * 1e6, "us")
    yield Measured("Redis for a queued job", trial.queued_bytes / 1000, "kB", at_most=2.5)


def end_half(trial: Trial) -> Iterator[Measured]:
    """Half of the jobs end, while others read jobs, batches and pools, and while sweeps look at all of them."""
    before, began, cpu_s = trial.used_bytes(), time.monotonic(), trial.redis_cpu_s()
    number = trial.jobs // 2
    with Reader(trial.client, HUGE, CANCELLED):
        asyncio.run(_end(trial, number))
    took_s = time.monotonic() - began
    finished_bytes = (trial.used_bytes() - before) / number + trial.queued_bytes
    yield Measured("claimed and ended in a second", number / took_s, "/s")
    yield Measured("CPU of Redis for it, for a job", (trial.redis_cpu_s() - cpu_s) / number * 1e6, "us")
    yield Measured("Redis for a finished job", finished_bytes / 1000, "kB", at_most=3.5)
    yield Measured("messages on Celery's queue", trial.redis.llen(trial.settings.queue))


def hold(trial: Trial) -> Iterator[Measured]:
    """Jobs are enqueued while there are free slots, but the endpoint of all jobs is paused, and then 1,000 batches."""
    endpoint = trial.settings.endpoint_name(None)
    trial.client.pause_endpoint(endpoint, "measured")
    yield from asyncio.run(_enqueue_beside(trial, "with all tenants held"))
    names = [f"paused-{number}" for number in range(TENANTS)]
    for name in names:
        trial.client.enqueue({**_job(0), "batch": name, "tenant": name, "priority": "high"})
        trial.client.pause(name)
    yield from asyncio.run(_enqueue_beside(trial, "with 1,000 paused batches, too"))
    for name in names:
        trial.client.cancel_batch(name)
    trial.client.resume_endpoint(endpoint)


def read(trial: Trial) -> Iterator[Measured]:
    """The ids of all jobs of the largest batch are read, as commands on a batch do."""
    began = time.monotonic()
    ids = trial.client.store.batch_jobs(HUGE)
    yield Measured("jobs of the largest batch", len(ids))
    yield Measured("seconds to list them", time.monotonic() - began, "s")


def cancel_and_redrive(trial: Trial) -> Iterator[Measured]:
    """A tenth of the jobs is a batch, which is cancelled and then enqueued again."""
    began = time.monotonic()
    states = trial.client.cancel_batch(CANCELLED)
    yield Measured("jobs cancelled in a second", len(states) / (time.monotonic() - began), "/s")
    began = time.monotonic()
    again = trial.client.store.redrive_many(list(states))
    yield Measured("jobs redriven in a second", len(again) / (time.monotonic() - began), "/s")


def lose_workers(trial: Trial) -> Iterator[Measured]:
    """Many workers die at the same time, and a sweep rescues their jobs. Then a Celery queue is lost."""
    began = time.monotonic()
    asyncio.run(_lose(trial))
    yield Measured("jobs of dead workers, and jobs with lost messages", trial.share)
    yield Measured("seconds until all are ready again", time.monotonic() - began, "s")


def expire(trial: Trial) -> Iterator[Measured]:
    """All ended jobs have expired; then some more end."""
    ended = trial.redis.zcard(trial.keys.jobs("succeeded"))
    trial.settings = trial.settings.model_copy(update={"result_ttl_s": 1})
    asyncio.run(_end(trial, 100))
    yield Measured("expired jobs in the list of ended ones", ended)
    yield Measured("those left after 100 more have ended", trial.redis.zcard(trial.keys.jobs("succeeded")))


STEPS: tuple[Callable[[Trial], Iterator[Measured]], ...] = (
    enqueue, end_half, hold, read, cancel_and_redrive, lose_workers, expire,
)  # fmt: skip


def _job(number: int) -> dict[str, Any]:
    batch = {8: CANCELLED, 9: None}.get(number % 10, HUGE)
    return {"prompt": prompt(0, number), "batch": batch, "tenant": f"tenant-{number % TENANTS}"}


async def _end(trial: Trial, number: int) -> None:
    worker = Worker(trial.settings, _SLOTS)
    try:
        await worker.end(number, lambda ended: trial.progress(ended, number))
    finally:
        await worker.close()


async def _enqueue_beside(trial: Trial, when: str) -> list[Measured]:
    """Enqueues jobs while a worker has free slots."""
    worker, began, cpu_s, number = Worker(trial.settings, _SLOTS), time.monotonic(), trial.redis_cpu_s(), 0
    try:
        while time.monotonic() < began + _HELD_S:
            await worker.heartbeat()
            await asyncio.to_thread(trial.client.enqueue_many, [_job(number + more) for more in range(100)])
            number += 100
        cpu_us = (trial.redis_cpu_s() - cpu_s) / number * 1e6
        return [
            Measured(f"enqueued in a second {when}", number / (time.monotonic() - began), "/s"),
            Measured(f"CPU of Redis to enqueue a job {when}", cpu_us, "us"),
        ]
    finally:
        await worker.store.leave()
        await worker.close()


async def _lose(trial: Trial) -> None:
    """Loses claimed jobs, and then messages; sweeps until all these jobs are ready again."""
    hasty = trial.settings.model_copy(update={"lease_s": 0.001})
    lost, finder = Worker(hasty, _SLOTS), Worker(trial.settings, 0)
    try:
        await lost.store.read_clock()
        for claimed in range(0, trial.share, _SLOTS):
            ids = await lost.offer(_SLOTS)
            await asyncio.gather(*(lost.store.claim(lost.store.lease(job_id)) for job_id in ids))
            trial.progress(claimed, trial.share)
        await lost.offer(trial.share)
        await lost.store.leave()
        sweep.DELIVERY_GRACE_S = 0
        while trial.redis.zcard(trial.keys.leases) or trial.redis.zcard(trial.keys.dispatched):
            await finder.heartbeat()
            await finder.sweep.once()
    finally:
        await lost.close()
        await finder.close()
