"""The producer's operations on remote objects: kept threads, applied assistants, remote batches, leftovers."""

import math
from datetime import UTC, datetime
from typing import Any, cast

from threadmill.errors import ThreadInUse, ThreadNotFound
from threadmill.store import keys
from threadmill.store.batch_records import RemoteBatch
from threadmill.store.connection import Connection
from threadmill.store.remote_records import Applied, KeptThread, Leftover, LeftoverRecord, Transcript
from threadmill.stored import read


class RemoteStore(Connection):
    """Reads and changes the records of remote objects. Workers delete the objects."""

    def threads(self) -> list[KeptThread]:
        """Returns the kept threads, the last used first."""
        with self._translate_errors():
            entries = cast(dict[str, str], self._redis.hgetall(self._keys.threads))
        kept = [read(KeptThread, entry, f"kept thread {name}") for name, entry in entries.items()]
        return sorted(filter(None, kept), key=lambda thread: thread.used_at, reverse=True)

    def transcript(self, kept: KeptThread) -> Transcript | None:
        """Returns the transcript of a kept chain of responses; None if it is missing or unreadable."""
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
            encoded = [each.model_dump_json() for each in leftovers]
            outcome, *job_ids = self._run(
                "remote/forget_thread", name=name, entry=entry, force=force, leftovers=encoded
            )
            if outcome == "busy":
                raise ThreadInUse(thread_id, job_ids)
            if outcome == "forgotten":
                return

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
        with self._translate_errors():
            entry = cast(str | None, self._redis.hget(self._keys.assistants, keys.applied_name(endpoint, profile)))
        applied = read(Applied, entry, f"what profile {profile} was applied to on {endpoint}") if entry else None
        return applied.id if applied else None

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
        with self._translate_errors():
            due = cast(Any, self._redis.zrange(self._keys.leftovers, 0, -1, withscores=True))
            tries = cast(dict[str, str], self._redis.hgetall(self._keys.leftover_attempts))
        found = []
        for member, moment in due:
            if left := read(LeftoverRecord, member, "a leftover"):
                at = None if math.isinf(moment) else datetime.fromtimestamp(moment, UTC)
                number = tries.get(member, "0")
                fields = {"tries": int(number) if number.isdecimal() else 0, "due_at": at}
                found.append(Leftover.model_validate(left.model_dump() | fields))
        return found

    def retry_leftovers(self) -> int:
        """Makes all leftovers due now and resets their attempts. Returns their number."""
        with self._translate_errors():
            members = cast(list[str], self._redis.zrange(self._keys.leftovers, 0, -1))
            if members:
                self._redis.zadd(self._keys.leftovers, dict.fromkeys(members, self.now().timestamp()), xx=True)
                self._redis.delete(self._keys.leftover_attempts)
        return len(members)
