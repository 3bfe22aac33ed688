"""The worker's operations on uploads: which files nobody needs any more."""

from collections.abc import Sequence
from typing import NamedTuple

from redis.asyncio import Redis

from threadmill import stored
from threadmill.job.result import OPEN
from threadmill.job.upload import Upload
from threadmill.settings.settings import Settings
from threadmill_worker.store.connection import Connection
from threadmill_worker.store.redis_clock import RedisClock

#: A worker that took an upload has this long to look at it; to look twice does no harm.
HELD_S = 60.0

#: Jobs of an upload that one command reads.
_AT_ONCE = 300

#: A job is enqueued at most so long after it was recorded that it uses an upload.
_ENQUEUED_WITHIN_S = 60.0


class Due(NamedTuple):
    """An upload to look at. `upload`: None if it was deleted, has expired, or was never complete."""

    id: str
    upload: Upload | None


class Use(NamedTuple):
    has_begun: bool  #: a job has used it
    is_over: bool  #: no job that uses it is open


class UploadStore(Connection):
    """The uploads whose files may be deleted."""

    def __init__(self, settings: Settings, redis: Redis, clock: RedisClock) -> None:
        super().__init__(settings, redis)
        self._clock = clock

    async def take_due(self, limit: int) -> list[Due]:
        """Returns some uploads to look at. Other workers do not get them for a while."""
        await self._clock.ready()
        now = self._clock.now()
        due = self._keys.uploads_due
        ids = await self._with_retries(self._redis.zrangebyscore, due, "-inf", now, start=0, num=limit)
        if not ids:
            return []
        await self._with_retries(self._redis.zadd, due, dict.fromkeys(ids, now + HELD_S), xx=True)
        texts = [await self._with_retries(self._redis.get, self._keys.upload(upload_id)) for upload_id in ids]
        return [
            Due(upload_id, stored.read(Upload, text, f"upload {upload_id}") if text else None)
            for upload_id, text in zip(ids, texts, strict=True)
        ]

    async def use(self, upload_id: str) -> Use:
        """Returns whether jobs used the upload or still do. Forgets those that have ended."""
        key = self._keys.upload_jobs(upload_id)
        await self._clock.ready()
        while True:
            found = await self._with_retries(self._redis.hrandfield, key, _AT_ONCE + 1, withvalues=True)
            jobs = dict(zip(found[::2], found[1::2], strict=True))
            has_begun = jobs.pop("", None) is not None
            if not jobs:
                return Use(has_begun, is_over=True)
            states = await self._with_retries(self._states, list(jobs))
            ended = [
                job_id
                for state, (job_id, since) in zip(states, jobs.items(), strict=True)
                if not self._is_open(state, float(since))
            ]
            if ended:
                await self._with_retries(self._redis.hdel, key, *ended)
            if len(ended) < len(jobs):
                return Use(has_begun=True, is_over=False)

    async def _states(self, job_ids: Sequence[str]) -> list[str | None]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hget(self._keys.record(job_id), "state")
            return list(await pipe.execute())

    def _is_open(self, state: str | None, since: float) -> bool:
        return state in OPEN if state is not None else self._clock.now() - since < _ENQUEUED_WITHIN_S

    async def look_again(self, upload_id: str, delay_s: float) -> None:
        """Has a worker look at the upload again after this time."""
        at = self._clock.now() + delay_s
        await self._with_retries(self._redis.zadd, self._keys.uploads_due, {upload_id: at}, xx=True)

    async def forget(self, due: Due) -> None:
        """Deletes what Redis has of an upload whose file is deleted."""
        if due.upload is not None and due.upload.owner is not None:
            await self._with_retries(self._redis.zrem, self._keys.owned_uploads(due.upload.owner), due.id)
        await self._with_retries(self._redis.zrem, self._keys.uploads, due.id)
        await self._with_retries(self._redis.delete, self._keys.upload(due.id), self._keys.upload_jobs(due.id))
        await self._with_retries(self._redis.zrem, self._keys.uploads_due, due.id)
