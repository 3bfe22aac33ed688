"""The fleet in numbers, for metrics. No command reads a list that grows with the jobs."""

from typing import cast

from pydantic import AwareDatetime

from threadmill.job.model import StoredModel
from threadmill.store.fleet.overview import Overview, OverviewStore
from threadmill.store.fleet.workers import ALIVE, WorkerStore

#: Of ready jobs, in the order in which they are dispatched: PRIORITIES in lua/include/passes.lua.
PRIORITIES = ("interrupted", "high", "normal", "low")


class Ready(StoredModel):
    """The ready jobs of a priority."""

    jobs: int = 0
    oldest_age_s: float = 0.0  #: how long the oldest has been ready; 0: there is none


class Fleet(StoredModel):
    """Numbers at the moment `read_at`, by Redis' clock."""

    read_at: AwareDatetime
    overview: Overview  #: without ended jobs
    created: int  #: jobs that were ever created
    ready: dict[str, Ready]  #: by priority
    messages: int  #: on Celery's queue
    open_batches: int
    paused: tuple[str, ...]  #: endpoints that an operator paused
    workers: int  #: that announced themselves within the last seconds
    deaf_workers: int  #: those of them whose consumer takes no messages
    slots: int  #: jobs that they can run at a time


class FleetStore(OverviewStore, WorkerStore):
    """Reads the fleet."""

    def fleet(self) -> Fleet:
        workers, now = self._workers()
        alive = [worker for worker in workers if worker.seen_at > now - ALIVE]
        with self._translate_errors(), self._redis.pipeline(transaction=False) as pipe:
            pipe.hgetall(self._keys.queue_counts)
            pipe.llen(self._settings.queue)
            pipe.zcard(self._keys.batches_open)
            pipe.hgetall(self._keys.endpoints_paused)
            for priority in PRIORITIES:
                pipe.zrange(self._keys.waiting_since(priority), 0, 0, withscores=True)
            counts, messages, batches, paused, *oldest = self._replies(pipe)
        counts = counts or {}
        return Fleet(
            read_at=now,
            overview=self.overview(now),
            created=_number(counts.get("created")),
            ready={
                priority: _ready(_number(counts.get(priority)), found, now.timestamp())
                for priority, found in zip(PRIORITIES, oldest, strict=True)
            },
            messages=messages or 0,
            open_batches=batches or 0,
            paused=tuple(sorted(paused or ())),
            workers=len(alive),
            deaf_workers=sum(worker.is_consuming is False for worker in alive),
            slots=sum(worker.concurrency for worker in alive),
        )


def _ready(jobs: int, oldest: object, now: float) -> Ready:
    found = cast(list[tuple[str, float]], oldest or [])
    ages = [max(0.0, now - since) for _, since in found]
    return Ready(jobs=max(jobs, len(ages)), oldest_age_s=max(ages, default=0.0))


def _number(stored: object) -> int:
    """Returns a count; 0 if it is missing or damaged, or if an older version has removed jobs that it did not count."""
    text = str(stored)
    return int(text) if text.isdecimal() else 0
