"""The worker's operations on remote objects: shared objects, applied assistants, kept threads, leftovers."""

import math
from dataclasses import dataclass

from threadmill.store import keys
from threadmill.store.records.remote import Applied, KeptThread, LeftoverRecord, Transcript
from threadmill.stored import read
from threadmill_worker.store.connection import Connection

#: Before a leftover is tried again; doubles with each try.
_LEFTOVER_DELAY_S = 10

#: A worker that took a leftover has this long to delete it; deleting it twice would do no harm.
_LEFTOVER_HELD_S = 60

#: Expired threads that one script removes, and how many scripts a sweep runs.
_FORGOTTEN_AT_ONCE = 50
_FORGETTINGS = 10


class UnreadableThread(Exception):
    """The record of the thread cannot be read, so the thread cannot be continued."""


@dataclass(frozen=True)
class Busy:
    """Another job creates the object now: wait, then ask again."""


class RemoteStore(Connection):
    """What threadmill knows of objects on servers."""

    async def claim_shared(self, batch: str, name: str, job_id: str, hold_s: float) -> str | Busy | None:
        """Returns the id of a remote object that the jobs of the batch share under this name.

        Busy: another job creates it. None: this job creates it, within `hold_s` seconds, then calls `add_shared` or
        `release_shared`.
        """
        outcome, *found = await self._run("remote/claim_shared", batch=batch, name=name, job_id=job_id, hold_s=hold_s)
        if outcome == "found":
            shared = read(LeftoverRecord, found[0], f"what the jobs of batch {batch} share")
            return shared.id if shared else None
        return None if outcome == "claimed" else Busy()

    async def add_shared(self, batch: str, name: str, leftover: LeftoverRecord) -> bool:
        """Shares an object with the batch, whose last job has it deleted.

        Returns False if there is another one already, or no job left: then the caller owns it and deletes it.
        """
        reply = await self._run("remote/add_shared", batch=batch, name=name, object=leftover.to_json())
        return bool(reply == ["added"])

    async def release_shared(self, batch: str, name: str, job_id: str) -> None:
        """Lets another job create the object now."""
        await self._run("remote/release_shared", batch=batch, name=name, job_id=job_id)

    async def applied(self, endpoint: str, profile: str) -> Applied | None:
        """Returns the assistant that a profile was applied to, or None."""
        name = keys.applied_name(endpoint, profile)
        entry = await self._with_retries(self._redis.hget, self._keys.assistants, name)
        return read(Applied, entry, f"what profile {profile} was applied to on {endpoint}") if entry else None

    async def kept_thread(self, endpoint: str, thread_id: str) -> KeptThread | None:
        """Returns a kept thread with its transcript, or None. Raises UnreadableThread.

        One whose transcript expires may have lost it.
        """
        name = keys.thread_name(endpoint, thread_id)
        entry = await self._with_retries(self._redis.hget, self._keys.threads, name)
        if not entry:
            return None
        if (kept := read(KeptThread, entry, f"kept thread {name}")) is None:
            raise UnreadableThread(f"what is kept of thread {thread_id} is damaged or was written by a newer version")
        if not kept.has_transcript:
            return kept
        text = await self._with_retries(self._redis.get, self._keys.transcript(name))
        transcript = read(Transcript, text, f"the transcript of thread {thread_id}") if text else None
        return kept.model_copy(update={"transcript": transcript})

    async def forget_expired_threads(self) -> None:
        """Removes local threads that have expired; more than some hundreds at the next call."""
        for _ in range(_FORGETTINGS):
            _, forgotten = await self._run("remote/forget_expired", limit=_FORGOTTEN_AT_ONCE)
            if int(forgotten) < _FORGOTTEN_AT_ONCE:
                return

    async def take_leftover(self) -> LeftoverRecord | None:
        """Returns a leftover that is due, or None. No other worker gets it for a minute."""
        while (reply := await self._run("remote/take_leftover", hold_s=_LEFTOVER_HELD_S)) != ["none"]:
            _, taken = reply
            if leftover := read(LeftoverRecord, taken, "a leftover"):
                return leftover
            # Never due, so that it is not taken again.
            await self._with_retries(self._redis.zadd, self._keys.leftovers, {taken: math.inf}, xx=True)
        return None

    async def drop_leftover(self, leftover: LeftoverRecord) -> None:
        """Removes a leftover that has been deleted."""
        member = leftover.to_json()
        async with self._redis.pipeline() as pipe:
            pipe.zrem(self._keys.leftovers, member)
            pipe.hdel(self._keys.leftover_attempts, member)
            await pipe.execute()

    async def postpone_leftover(self, leftover: LeftoverRecord) -> bool:
        """Counts a failed attempt to delete a leftover. Returns False if it was the last."""
        limit = self._settings.cleanup_attempts
        _, attempts = await self._run(
            "remote/postpone_leftover",
            leftover=leftover.to_json(),
            first_delay_s=_LEFTOVER_DELAY_S,
            limit=limit,
            ttl_s=self._settings.failed_ttl_s,
        )
        return int(attempts) < limit
