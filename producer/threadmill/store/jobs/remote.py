"""The producer's operations on remote objects: kept threads, applied assistants, remote batches, leftovers."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

from threadmill.errors import InvalidCursor, ThreadInUse, ThreadNotFound
from threadmill.store import keys
from threadmill.store.connection import CHUNK, Connection, chunks, moment_of
from threadmill.store.records.batch import RemoteBatch
from threadmill.store.records.remote import Applied, KeptThread, Leftover, LeftoverRecord, ThreadPage, Transcript
from threadmill.stored import read


class RemoteStore(Connection):
    """Reads and changes the records of remote objects. Workers delete the objects."""

    def threads(self) -> list[KeptThread]:
        """Returns the kept threads, the last used first."""
        with self._translate_errors():
            entries = dict(self._redis.hscan_iter(self._keys.threads, count=CHUNK))
        return self._kept(entries, dict(self.ranked(self._keys.local_threads)))

    def thread_page(self, limit: int, cursor: str | None) -> ThreadPage:
        """Returns a part of the kept threads, the last used first in each part. Raises InvalidCursor."""
        if cursor is not None and not (cursor.isascii() and cursor.isdigit()):
            raise InvalidCursor(cursor)
        with self._translate_errors():
            following, entries = cast(
                tuple[int, dict[str, str]], self._redis.hscan(self._keys.threads, int(cursor or 0), count=limit)
            )
        expiries: dict[str, float] = {}
        for names in chunks(list(entries)):
            with self._translate_errors():
                scores = self._redis.zmscore(self._keys.local_threads, list(names))
            expiries |= {name: score for name, score in zip(names, scores, strict=True) if score is not None}
        found = self._kept(entries, expiries)
        return ThreadPage(threads=found, next_cursor=str(following) if int(following) else None)

    def _kept(self, entries: Mapping[str, str], expiries: Mapping[str, float]) -> list[KeptThread]:
        """Returns the threads of these entries that have not expired, the last used first."""
        now = self.now() if expiries else None
        kept = [_thread(name, entry, expiries.get(name), now) for name, entry in entries.items()]
        return sorted(filter(None, kept), key=lambda thread: thread.used_at, reverse=True)

    def thread(self, endpoint: str, thread_id: str) -> KeptThread:
        """Returns a kept thread. Raises ThreadNotFound."""
        return self._thread(endpoint, thread_id)[0]

    def _thread(self, endpoint: str, thread_id: str) -> tuple[KeptThread, list[str]]:
        """Returns a kept thread, and the jobs that take turns on it. Raises ThreadNotFound."""
        name = keys.thread_name(endpoint, thread_id)
        with self._translate_errors(), self._redis.pipeline(transaction=True) as pipe:
            pipe.hget(self._keys.threads, name)
            pipe.zscore(self._keys.local_threads, name)
            pipe.time()
            pipe.zrange(self._keys.turns(name), 0, -1)
            entry, expires_at, now, turns = pipe.execute()
        kept = _thread(name, entry, expires_at, moment_of(now)) if entry else None
        if kept is None:
            raise ThreadNotFound(thread_id)
        return kept, turns

    def transcript(self, kept: KeptThread) -> Transcript | None:
        """Returns the transcript of a kept thread that has one; None if it is missing or unreadable."""
        with self._translate_errors():
            entry = cast(str | None, self._redis.get(self._keys.transcript(keys.thread_name(kept.endpoint, kept.id))))
        return read(Transcript, entry, f"the transcript of thread {kept.id}") if entry else None

    def forget_thread(self, endpoint: str, thread_id: str, *, force: bool = False) -> None:
        """Removes a kept thread and its objects from the list, and adds them to the leftovers that workers delete.

        Raises ThreadNotFound, and ThreadInUse while jobs wait or run on it, unless `force`.
        """
        name = keys.thread_name(endpoint, thread_id)
        while True:  # repeats if a job changes the entry in between
            with self._translate_errors():
                entry = cast(str | None, self._redis.hget(self._keys.threads, name))
            if entry is None:
                raise ThreadNotFound(thread_id)
            kept = read(KeptThread, entry, f"kept thread {name}")
            leftovers = kept.leftovers if kept else (LeftoverRecord(endpoint=endpoint, kind="thread", id=thread_id),)
            encoded = [each.to_json() for each in leftovers]
            outcome, *job_ids = self._run(
                "remote/forget_thread", name=name, entry=entry, force=force, leftovers=encoded
            )
            if outcome == "busy":
                raise ThreadInUse(thread_id, job_ids)
            if outcome == "forgotten":
                return

    def jobs_on_thread(self, endpoint: str, thread_id: str) -> tuple[str, list[str]]:
        """Returns the last job that ended on a kept thread, and those that take turns on it. Raises ThreadNotFound."""
        kept, turns = self._thread(endpoint, thread_id)
        return kept.job_id, turns

    def assistants(self) -> dict[tuple[str, str], Applied]:
        """Returns the applied profiles, by endpoint and profile."""
        with self._translate_errors():
            entries = cast(dict[str, str], self._redis.hgetall(self._keys.assistants))
        found: dict[tuple[str, str], Applied] = {}
        for name, entry in sorted(entries.items()):
            endpoint, _, profile = name.rpartition("/")
            if applied := read(Applied, entry, f"what profile {profile} was applied to on {endpoint}"):
                found[endpoint, profile] = applied
        return found

    def assistant_of(self, endpoint: str, profile: str) -> str | None:
        """Returns the id of the assistant of an applied profile, or None."""
        applied = self._applied(endpoint, profile)
        return applied.id if applied else None

    def _applied(self, endpoint: str, profile: str) -> Applied | None:
        with self._translate_errors():
            entry = cast(str | None, self._redis.hget(self._keys.assistants, keys.applied_name(endpoint, profile)))
        return read(Applied, entry, f"what profile {profile} was applied to on {endpoint}") if entry else None

    def key_of(self, endpoint: str, thread: str | None, profile: str | None) -> str | None:
        """Returns the variable with the key that a thread or the assistant of a profile belongs to, if it is known."""
        if thread is not None:
            name = keys.thread_name(endpoint, thread)
            with self._translate_errors():
                entry = cast(str | None, self._redis.hget(self._keys.threads, name))
            kept = read(KeptThread, entry, f"kept thread {name}") if entry else None
            return kept.key if kept else None
        applied = self._applied(endpoint, profile) if profile is not None else None
        return applied.key if applied else None

    def set_assistant(self, endpoint: str, profile: str, applied: Applied) -> None:
        with self._translate_errors():
            name = keys.applied_name(endpoint, profile)
            self._redis.hset(self._keys.assistants, name, applied.model_dump_json())

    def drop_assistant(self, endpoint: str, profile: str) -> None:
        with self._translate_errors():
            self._redis.hdel(self._keys.assistants, keys.applied_name(endpoint, profile))

    def remote_batch(self, name: str) -> RemoteBatch | None:
        """Returns an unfinished remote batch by its name in threadmill, or None."""
        with self._translate_errors():
            entry = cast(str | None, self._redis.hget(self._keys.remote_batches, name))
        return read(RemoteBatch, entry, f"remote batch {name}") if entry else None

    def leftovers(self) -> list[Leftover]:
        """Returns the remote objects that still have to be deleted, by the time of the next attempt."""
        due, tries = dict(self.ranked(self._keys.leftovers)), dict[str, str | None]()
        for members in chunks(list(due)):
            with self._translate_errors():
                numbers = cast(list[str | None], self._redis.hmget(self._keys.leftover_attempts, members))
            tries |= zip(members, numbers, strict=True)
        found = []
        for member, moment in due.items():
            if left := read(LeftoverRecord, member, "a leftover"):
                at = None if math.isinf(moment) else datetime.fromtimestamp(moment, UTC)
                number = tries[member] or ""
                fields = {"tries": int(number) if number.isdecimal() else 0, "due_at": at}
                found.append(Leftover.model_validate(left.model_dump() | fields))
        return found

    def retry_leftovers(self) -> int:
        """Makes all leftovers due now and resets their attempts. Returns their number."""
        now, found = self.now().timestamp(), list(dict(self.ranked(self._keys.leftovers)))
        for members in chunks(found):
            with self._translate_errors(), self._redis.pipeline() as pipe:
                pipe.zadd(self._keys.leftovers, dict.fromkeys(members, now), xx=True)
                pipe.hdel(self._keys.leftover_attempts, *members)
                pipe.execute()
        return len(found)


def _thread(name: str, entry: str, expires_at: float | None, now: datetime | None) -> KeptThread | None:
    """Reads the entry of a kept thread; returns None if it is unreadable or has expired."""
    kept = read(KeptThread, entry, f"kept thread {name}")
    if kept is None or expires_at is None or now is None:
        return kept
    moment = datetime.fromtimestamp(expires_at, UTC)
    return kept.model_copy(update={"expires_at": moment}) if moment > now else None
