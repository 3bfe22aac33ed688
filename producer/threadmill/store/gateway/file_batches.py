"""The producer's operations on batches whose jobs are the lines of an upload."""

import json
from collections.abc import Sequence
from typing import Any, cast

from threadmill import stored
from threadmill.job.file_batch import FileBatch, FileBatchState, KeptFileBatch
from threadmill.store.connection import Connection

#: How long its record is kept after the deadline of its jobs, beside the lifetime of failed jobs.
_KEPT_LONGER_S = 86_400

#: The field of the record with what never changes.
_MADE = "made"


class FileBatchStore(Connection):
    """Adds, reads and changes the records of file batches. Each field of a state is one of the hash."""

    def add_file_batch(self, made: FileBatch) -> None:
        created = made.created_at.timestamp()
        lifetime_s = int((made.deadline_at - made.created_at).total_seconds())
        lifetime_s += self._settings.failed_ttl_s + _KEPT_LONGER_S
        key = self._keys.file_batch(made.id)
        with self._translate_errors(), self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(key, _MADE, made.model_dump_json())
            pipe.expire(key, lifetime_s)
            for name in self._file_batch_lists(made.owner):
                pipe.zadd(name, {made.id: created})
            pipe.zadd(self._keys.file_batches_open, {made.id: created})
            pipe.execute()

    def file_batch(self, batch_id: str) -> KeptFileBatch | None:
        return self._read_file_batches([batch_id])[0]

    def file_batches(self, owner: str | None, limit: int, after: str | None = None) -> list[KeptFileBatch]:
        """Returns at most `limit` batches of an owner, or of all (None), the newest first; `after`: older than this."""
        key = self._file_batch_lists(owner)[-1]
        with self._translate_errors():
            score = self._redis.zscore(key, after) if after is not None else None
            top = "+inf" if score is None else f"({score!r}"
            ids = cast(
                list[str],
                self._redis.zrange(
                    key, cast(Any, top), cast(Any, "-inf"), desc=True, byscore=True, offset=0, num=limit
                ),
            )
        found = dict(zip(ids, self._read_file_batches(ids), strict=True))
        if expired := [batch_id for batch_id, each in found.items() if each is None]:
            with self._translate_errors():
                self._redis.zrem(key, *expired)
        return [each for each in found.values() if each]

    def unfinished_file_batches(self, limit: int = 100) -> list[str]:
        """Returns the ids of the oldest batches with lines that a gateway has to see to."""
        with self._translate_errors():
            return cast(list[str], self._redis.zrange(self._keys.file_batches_open, 0, limit - 1))

    def enqueueing_file_batches(self) -> list[KeptFileBatch]:
        """Returns the batches with lines that a gateway has to see to."""
        return [kept for kept in self._read_file_batches(self.unfinished_file_batches()) if kept]

    def change_file_batch(self, batch_id: str, **fields: Any) -> None:
        """Changes fields of its state, if the batch is kept."""
        state = FileBatchState.model_validate(fields).model_dump(mode="json", include=set(fields))
        key = self._keys.file_batch(batch_id)
        with self._translate_errors():
            if self._redis.exists(key):
                self._redis.hset(key, mapping={name: json.dumps(value) for name, value in state.items()})

    def reopen_file_batch(self, made: FileBatch) -> None:
        """Has a gateway see to the batch again."""
        with self._translate_errors():
            self._redis.zadd(self._keys.file_batches_open, {made.id: made.created_at.timestamp()})

    def close_file_batch(self, batch_id: str) -> None:
        """Says that no gateway has to see to the batch any more."""
        with self._translate_errors():
            self._redis.zrem(self._keys.file_batches_open, batch_id)

    def hold_file_batch(self, batch_id: str, holder: str, lease_s: int) -> bool:
        """Takes or renews the lease of a batch. Returns False if another process holds it.

        Two holders at the same time do no harm: each line has an idempotency key.
        """
        key = self._keys.file_batch_held(batch_id)
        with self._translate_errors():
            if self._redis.set(key, holder, nx=True, ex=lease_s):
                return True
            if self._redis.get(key) != holder:
                return False
            self._redis.expire(key, lease_s)
            return True

    def release_file_batch(self, batch_id: str, holder: str) -> None:
        key = self._keys.file_batch_held(batch_id)
        with self._translate_errors():
            if self._redis.get(key) == holder:
                self._redis.delete(key)

    def _read_file_batches(self, ids: Sequence[str]) -> list[KeptFileBatch | None]:
        with self._translate_errors(), self._redis.pipeline(transaction=False) as pipe:
            for batch_id in ids:
                pipe.hgetall(self._keys.file_batch(batch_id))
            hashes = self._replies(pipe)
        return [_read(batch_id, fields) if fields else None for batch_id, fields in zip(ids, hashes, strict=True)]

    def _file_batch_lists(self, owner: str | None) -> list[str]:
        return [self._keys.file_batches, *([self._keys.owned_file_batches(owner)] if owner is not None else [])]


def _read(batch_id: str, fields: dict[str, str]) -> KeptFileBatch | None:
    try:
        made = FileBatch.model_validate_json(fields.pop(_MADE, "null"))
        state = FileBatchState.model_validate({name: json.loads(value) for name, value in fields.items()})
    except ValueError as error:
        stored.leave_out(f"batch {batch_id}", *stored.fault(error))
        return None
    return KeptFileBatch(made, state)
