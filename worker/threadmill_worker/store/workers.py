"""The operations of workers as a fleet: announcements, the lease of the sweep, events for followers."""

import math
from collections.abc import Mapping
from datetime import timedelta
from itertools import islice
from typing import Any, cast

from redis.exceptions import NoPermissionError

from threadmill.redis import client
from threadmill.settings.settings import Settings
from threadmill.store.lease import take
from threadmill.store.records.worker import Worker
from threadmill.stored import read
from threadmill_worker.live.buffer import Due
from threadmill_worker.store.connection import Connection
from threadmill_worker.store.redis_clock import RedisClock

#: A worker's endpoints are known for so long after it was last seen, so that a restart does not turn jobs away.
_WORKER_KEPT = timedelta(days=1)

#: Events kept of a running job: the newest.
_LIVE_ENTRIES = 2000


class WorkerStore(Connection):
    """What workers tell each other and producers. `name` is the name of this worker."""

    def __init__(self, settings: Settings, name: str) -> None:
        super().__init__(settings, client.asynchronous(settings.redis_url))
        self.clock = RedisClock(self._redis)
        self._name = name

    async def announce(self, worker: Worker) -> None:
        """Stores the entry of this worker, which producers can read."""
        async with self._redis.pipeline() as pipe:
            pipe.hset(self._keys.workers, worker.name, worker.model_dump_json())
            pipe.expire(self._keys.workers, _WORKER_KEPT)
            await pipe.execute()

    async def forget_old_workers(self) -> None:
        """Removes workers that were last seen more than a day ago."""
        oldest = self.clock.moment() - _WORKER_KEPT
        for name, announced in (await self._redis.hgetall(self._keys.workers)).items():
            card = read(Worker, str(announced), f"what worker {name!s} announces")
            if card and card.seen_at < oldest:
                await self._redis.hdel(self._keys.workers, name)

    async def may_sweep(self, for_s: float) -> bool:
        """Acquires the lease of the sweep for `for_s` seconds; returns whether it did."""
        return await take(self._redis, self._keys.sweep, self._name, for_s) is not None

    async def uptime_s(self) -> float:
        """Returns how long Redis has been up; infinity if its ACL forbids INFO."""
        try:
            return float((await self._redis.info("server"))["uptime_in_seconds"])
        except NoPermissionError:
            return math.inf

    async def is_followed(self, job_id: str) -> bool:
        """Returns whether somebody follows the job. Not repeated while Redis is unavailable."""
        return bool(await self._redis.exists(self._keys.followed(job_id)))

    async def publish(self, due: Mapping[str, Due]) -> dict[str, list[str]]:
        """Publishes events of jobs in one round trip; returns the ids of the stream entries by job.

        Not repeated while Redis is unavailable. Jobs with a rejected entry are left out.
        """
        async with self._redis.pipeline(transaction=False) as pipe:
            for job_id, events in due.items():
                stream = self._keys.live(job_id)
                for entry in events.entries:
                    pipe.xadd(stream, cast(Any, entry), maxlen=_LIVE_ENTRIES, approximate=True)
                if events.superseded:
                    pipe.xdel(stream, *events.superseded)
                if events.is_first:  # FINISH sets the expiry too, but may run before this
                    pipe.expire(stream, self._settings.failed_ttl_s)
            replies = iter(await pipe.execute(raise_on_error=False))
        taken = {job_id: list(islice(replies, events.commands)) for job_id, events in due.items()}
        return {
            job_id: own[: len(due[job_id].entries)]
            for job_id, own in taken.items()
            if not any(isinstance(reply, Exception) for reply in own)
        }

    async def leave(self) -> None:
        """No job is dispatched for the slots of this worker any more."""
        await self._redis.hdel(self._keys.slots, self._name)

    async def close(self) -> None:
        self._script_calls.close()
        await self._redis.aclose()
