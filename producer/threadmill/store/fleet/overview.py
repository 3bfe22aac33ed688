"""Counts what there is: jobs, leftovers, callbacks, dead letters. Each number is one command, whatever its size."""

import math
from datetime import datetime

from pydantic import AwareDatetime

from threadmill.job.model import StoredModel
from threadmill.job.result import OPEN, JobState
from threadmill.store.connection import Connection, moment_of
from threadmill.store.records.callback import DeliveryState


class Overview(StoredModel):
    """Numbers at the moment `read_at`, by Redis' clock."""

    read_at: AwareDatetime
    jobs: dict[JobState, int]  #: open jobs; and those that ended within the time that was asked for
    delayed: int  #: queued jobs whose start time has not come
    leftovers: int  #: remote objects that still have to be deleted
    leftovers_given_up: int  #: those of them that workers try no more
    callbacks_pending: int
    callbacks_dead: int
    dead_letters: int  #: since they were last cleared

    @property
    def open(self) -> int:
        return sum(self.jobs.get(state, 0) for state in OPEN)


class OverviewStore(Connection):
    """Counts jobs and what they leave."""

    def overview(self, since: datetime) -> Overview:
        """Returns the numbers; jobs that have ended count if they ended since then, and are kept."""
        keys = self._keys
        with self._translate_errors(), self._redis.pipeline(transaction=False) as pipe:
            for state in JobState:
                if state in OPEN:
                    pipe.zcard(keys.jobs(state))
                else:
                    pipe.zcount(keys.jobs(state), since.timestamp(), "+inf")
            pipe.zcard(keys.delayed)
            pipe.zcard(keys.leftovers)
            pipe.zcount(keys.leftovers, math.inf, math.inf)
            pipe.zcard(keys.callbacks(DeliveryState.PENDING))
            pipe.zcard(keys.callbacks(DeliveryState.DEAD))
            pipe.get(keys.dead_letters_count)
            pipe.time()
            *numbers, dead_letters, now = self._replies(pipe)
        jobs = dict(zip(JobState, numbers, strict=False))
        delayed, leftovers, given_up, pending, dead = (number or 0 for number in numbers[len(JobState) :])
        return Overview(
            read_at=moment_of(now),
            jobs={state: number for state, number in jobs.items() if number},
            delayed=delayed,
            leftovers=leftovers,
            leftovers_given_up=given_up,
            callbacks_pending=pending,
            callbacks_dead=dead,
            dead_letters=int(dead_letters) if str(dead_letters).isdecimal() else 0,
        )
