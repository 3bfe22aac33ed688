"""The producer's operations on batches."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, cast

from threadmill.errors import BatchNotFound, InvalidCursor, InvalidJob, StoreUnavailable
from threadmill.job.result import JobState
from threadmill.names import NAME_RULE, is_name
from threadmill.store.connection import Connection, chunks
from threadmill.store.records.batch import BatchRecord

#: A command that enqueues a batch renews the batch's key `seen_to`, which expires after this time.
_BATCH_HEARTBEAT_S = 15

#: The id of an entry of a stream; Redis refuses numbers above 2^64.
_CURSOR = re.compile(r"\d{1,18}-\d{1,18}", re.ASCII)

_STATES = frozenset(map(str, JobState))


@dataclass(frozen=True)
class Finished:
    """An entry of a batch's stream: a job has ended. `cursor` is where to continue reading."""

    cursor: str
    job_id: str
    state: str = ""  #: the state of the job then; '' if an older version wrote the entry


class BatchStore(Connection):
    """Reads and changes batches."""

    def batches(self) -> list[BatchRecord]:
        """Returns the batches that are kept, the latest change first."""
        with self._translate_errors():
            kept = cast(Any, self._redis.zrevrange(self._keys.batches, 0, -1, withscores=True))
            named = [(name, moment) for name, moment in kept if is_name(name)]  # a damaged record may add another
            with self._redis.pipeline(transaction=False) as pipe:
                for name, _ in named:
                    pipe.hgetall(self._keys.batch(name))
                counts = dict(zip((name for name, _ in named), self._replies(pipe), strict=True))
            if expired := [name for name in counts if counts[name] == {}]:
                self._redis.zrem(self._keys.batches, *expired)
        return [
            BatchRecord.read(name, datetime.fromtimestamp(moment, UTC), counts[name])
            for name, moment in named
            if counts[name]
        ]

    def batch(self, name: str) -> BatchRecord:
        """Returns a batch, in one round trip. Raises BatchNotFound."""
        self._check_name(name)
        found = self._batches([name])
        if not found:
            raise BatchNotFound(name, self._batch_names())
        return found[0]

    def _batches(self, names: Sequence[str]) -> list[BatchRecord]:
        """Returns those of the batches that are kept, in one round trip."""
        with self._translate_errors(), self._redis.pipeline() as pipe:
            for name in names:
                pipe.hgetall(self._keys.batch(name))
                pipe.zscore(self._keys.batches, name)
                pipe.exists(self._keys.batch_seen_to(name))
            replies = iter(pipe.execute())
        return [
            BatchRecord.read(name, datetime.fromtimestamp(moment, UTC), fields, seen_to=bool(seen_to))
            for name, (fields, moment, seen_to) in zip(names, zip(replies, replies, replies, strict=True), strict=True)
            if fields and moment is not None
        ]

    def _check_name(self, name: str) -> None:
        """Raises BatchNotFound for an invalid name, which might address another key."""
        if not is_name(name):
            raise BatchNotFound(name, self._batch_names())

    def check_batch(self, name: str) -> None:
        """Raises BatchNotFound."""
        self._check_name(name)
        with self._translate_errors():
            is_there = self._redis.exists(self._keys.batch(name))
        if not is_there:
            raise BatchNotFound(name, self._batch_names())

    def _batch_names(self) -> list[str]:
        with self._translate_errors():
            return cast(list[str], self._redis.zrevrange(self._keys.batches, 0, -1))

    def start_batch(
        self,
        name: str,
        documents: int,
        *,
        new_generation: bool,
        max_cost: float | None = None,
        max_tokens: int | None = None,
    ) -> int:
        """Stores the number of documents of a batch; returns its generation, increased by `new_generation`.

        `max_cost`, `max_tokens`: the limits of what it may spend, for those who look at it.

        A batch without jobs expires by itself. Raises InvalidJob for an invalid name.
        """
        if not is_name(name):
            raise InvalidJob(f"{name!r:.100} cannot be the name of a batch: {NAME_RULE}")
        now, limits = self.now(), {"max_cost": max_cost, "max_tokens": max_tokens}
        given: Mapping[Any, Any] = {field: limit for field, limit in limits.items() if limit is not None}
        with self._translate_errors(), self._redis.pipeline() as pipe:
            pipe.hset(self._keys.batch(name), "documents", documents)
            pipe.hdel(self._keys.batch(name), "cancel_requested", *(limits.keys() - given.keys()))
            if given:
                pipe.hset(self._keys.batch(name), mapping=given)
            pipe.hincrby(self._keys.batch(name), "generation", int(new_generation))
            pipe.expire(self._keys.batch(name), self._settings.failed_ttl_s)
            pipe.zadd(self._keys.batches, {name: now.timestamp()})
            generation = pipe.execute()[-3]
        return int(generation)

    def renew_batch(self, name: str) -> BatchRecord:
        """Renews the key `seen_to` and returns the batch. Waits while Redis is unavailable. Raises BatchNotFound."""
        return self.with_retries(partial(self._renew_batch, name))

    def _renew_batch(self, name: str) -> BatchRecord:
        with self._translate_errors():
            self._redis.set(self._keys.batch_seen_to(name), 1, ex=_BATCH_HEARTBEAT_S)
        return self.batch(name)

    def leave_batch(self, name: str) -> None:
        """Deletes the key `seen_to`: no command enqueues the batch's documents any more."""
        with suppress(StoreUnavailable), self._translate_errors():  # then the key expires
            self._redis.delete(self._keys.batch_seen_to(name))

    def set_batch_flag(self, name: str, field: Literal["paused", "cancel_requested"], is_set: bool = True) -> None:
        """Raises BatchNotFound."""
        self.check_batch(name)
        with self._translate_errors():
            if is_set:
                self._redis.hset(self._keys.batch(name), field, 1)
            else:
                self._redis.hdel(self._keys.batch(name), field)
        if not is_set:
            self.dispatch()

    def dispatch(self) -> None:
        """Dispatches ready jobs to free slots, after something that they waited for has ended."""
        self._run("queue/dispatch")

    def limit_batch(self, name: str, concurrent: int | None) -> None:
        """Sets or removes the limit of jobs that run at a time. Raises BatchNotFound."""
        self._check_name(name)
        [outcome] = self._run("batches/limit", name=name, concurrent=concurrent)
        if outcome == "unknown":
            raise BatchNotFound(name, self._batch_names())

    def states(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        """Returns the states of the jobs that are kept and readable, in the order of `job_ids`."""
        found: dict[str, JobState] = {}
        for ids in chunks(job_ids):
            with self._translate_errors(), self._redis.pipeline(transaction=False) as pipe:
                for job_id in ids:
                    pipe.hget(self._keys.record(job_id), "state")
                stored = zip(ids, self._replies(pipe), strict=True)
            found |= {job_id: JobState(state) for job_id, state in stored if state in _STATES}
        return found

    def batch_jobs(self, name: str) -> list[str]:
        """Returns the ids of its jobs, the newest first."""
        return list(dict(self.ranked(self._keys.batch_jobs(name), highest_first=True)))

    def batch_cursor(self, batch: str) -> str:
        """Returns the current end of the batch's stream."""
        with self._translate_errors():
            last = cast(Any, self._redis.xrevrange(self._keys.batch_done(batch), count=1))
        return str(last[0][0]) if last else "0-0"

    def ended_jobs(self, name: str, after: str) -> list[Finished]:
        """Returns jobs of the batch that ended after the cursor, the first ones first; a thousand at a time.

        Raises BatchNotFound, InvalidCursor.
        """
        if not _CURSOR.fullmatch(after):
            raise InvalidCursor(after)
        self.check_batch(name)
        entries = self._read({self._keys.batch_done(name): after}, 0)
        return [Finished(cursor, fields.get("job", ""), fields.get("state", "")) for _, cursor, fields in entries]

    def finished(self, batch: str, after: str, block_s: float) -> list[Finished]:
        """Returns the batch's jobs that ended after the cursor `after`. Waits up to `block_s` seconds for one."""
        entries = self.with_retries(partial(self._read, {self._keys.batch_done(batch): after}, block_s))
        return [Finished(cursor, fields.get("job", "")) for _, cursor, fields in entries]
