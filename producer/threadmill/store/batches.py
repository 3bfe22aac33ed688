"""The producer's verbs on batches: list, read, open, see to, pause."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, cast

from threadmill.errors import BatchNotFound, InvalidJob, StoreUnavailable
from threadmill.job.result import JobState
from threadmill.names import NAME_RULE, is_name
from threadmill.store.connection import Connection, chunks
from threadmill.store.records import BatchRecord

#: Who enqueues a batch says so for this long, and again in time.
_SEEN_TO_S = 15

_STATES = frozenset(map(str, JobState))


@dataclass(frozen=True)
class Finished:
    """An entry of a batch's stream: a job came to its end. `cursor` is where to read on."""

    cursor: str
    job_id: str


class BatchStore(Connection):
    """What is known of batches."""

    def batches(self) -> list[BatchRecord]:
        """The batches whose records are still there, those that changed last first."""
        with self._reaching():
            named = cast(Any, self._redis.zrevrange(self._keys.batches, 0, -1, withscores=True))
            with self._redis.pipeline(transaction=False) as pipe:
                for name, _ in named:
                    pipe.hgetall(self._keys.batch(name))
                counts = dict(zip((name for name, _ in named), self._replies(pipe), strict=True))
            if lapsed := [name for name in counts if counts[name] == {}]:
                self._redis.zrem(self._keys.batches, *lapsed)
        return [
            BatchRecord.read(name, datetime.fromtimestamp(moment, UTC), counts[name])
            for name, moment in named
            if counts[name]
        ]

    def batch(self, name: str) -> BatchRecord:
        """The batch as it stands, in one round trip however large it is; raises BatchNotFound."""
        self._check_name(name)
        with self._reaching(), self._redis.pipeline() as pipe:
            pipe.hgetall(self._keys.batch(name))
            pipe.zscore(self._keys.batches, name)
            pipe.exists(self._keys.batch_seen_to(name))
            fields, moment, seen_to = pipe.execute()
        if not fields or moment is None:
            raise BatchNotFound(name, self._batch_names())
        return BatchRecord.read(name, datetime.fromtimestamp(moment, UTC), fields, seen_to=bool(seen_to))

    def _check_name(self, name: str) -> None:
        """Raises BatchNotFound if no batch can have the name: it might address another key."""
        if not is_name(name):
            raise BatchNotFound(name, self._batch_names())

    def check_batch(self, name: str) -> None:
        """Raises BatchNotFound."""
        self._check_name(name)
        with self._reaching():
            is_there = self._redis.exists(self._keys.batch(name))
        if not is_there:
            raise BatchNotFound(name, self._batch_names())

    def _batch_names(self) -> list[str]:
        with self._reaching():
            return cast(list[str], self._redis.zrevrange(self._keys.batches, 0, -1))

    def open_batch(self, name: str, documents: int, *, anew: bool) -> int:
        """Says of how many documents a batch is; gives its generation, with `anew` a new one.

        What has no jobs in the end lapses by itself. Raises InvalidJob if no batch can have the name.
        """
        if not is_name(name):
            raise InvalidJob(f"{name!r:.100} cannot be the name of a batch: {NAME_RULE}")
        now = self.now()
        with self._reaching(), self._redis.pipeline() as pipe:
            pipe.hset(self._keys.batch(name), "documents", documents)
            pipe.hdel(self._keys.batch(name), "cancel_requested")
            pipe.hincrby(self._keys.batch(name), "generation", int(anew))
            pipe.expire(self._keys.batch(name), self._settings.failed_ttl_s)
            pipe.zadd(self._keys.batches, {name: now.timestamp()})
            generation = pipe.execute()[2]
        return int(generation)

    def see_to_batch(self, name: str) -> BatchRecord:
        """The same as `batch`, for who enqueues its documents; bears Redis being away."""
        return self.patiently(partial(self._see_to_batch, name))

    def _see_to_batch(self, name: str) -> BatchRecord:
        with self._reaching():
            self._redis.set(self._keys.batch_seen_to(name), 1, ex=_SEEN_TO_S)
        return self.batch(name)

    def leave_batch(self, name: str) -> None:
        """Nobody enqueues its documents any more."""
        with suppress(StoreUnavailable), self._reaching():  # then it lapses
            self._redis.delete(self._keys.batch_seen_to(name))

    def mark_batch(self, name: str, field: Literal["paused", "cancel_requested"], is_set: bool = True) -> None:
        """Raises BatchNotFound."""
        self.check_batch(name)
        with self._reaching():
            if is_set:
                self._redis.hset(self._keys.batch(name), field, 1)
            else:
                self._redis.hdel(self._keys.batch(name), field)

    def states(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        """The states of those that are still kept and whose state can be read, in the order of their ids."""
        found: dict[str, JobState] = {}
        for ids in chunks(job_ids):
            with self._reaching(), self._redis.pipeline(transaction=False) as pipe:
                for job_id in ids:
                    pipe.hget(self._keys.record(job_id), "state")
                stored = zip(ids, self._replies(pipe), strict=True)
            found |= {job_id: JobState(state) for job_id, state in stored if state in _STATES}
        return found

    def batch_jobs(self, name: str) -> list[str]:
        """The ids of its jobs, the newest first."""
        with self._reaching():
            return cast(list[str], self._redis.zrevrange(self._keys.batch_jobs(name), 0, -1))

    def batch_cursor(self, batch: str) -> str:
        """Where a batch's stream ends now."""
        with self._reaching():
            last = cast(Any, self._redis.xrevrange(self._keys.batch_done(batch), count=1))
        return str(last[0][0]) if last else "0-0"

    def finished(self, batch: str, after: str, block_s: float) -> list[Finished]:
        """The batch's jobs that ended since the cursor `after`; waits up to `block_s` for one."""
        entries = self.patiently(partial(self._read, {self._keys.batch_done(batch): after}, block_s))
        return [Finished(cursor, fields.get("job", "")) for _, cursor, fields in entries]
