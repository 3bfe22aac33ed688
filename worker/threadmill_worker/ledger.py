"""The worker's verbs on the records in Redis: claim, renew, save, hand back, finish.

Every step on a job is one atomic script (threadmill/scripts.py) and is repeated while Redis is away.
"""

import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import redis.asyncio
from redis.commands.core import AsyncScript

from threadmill import keys, scripts
from threadmill.job import PromptJob
from threadmill.record import JobRecord, LeftoverRecord, Worker
from threadmill.result import JobResult
from threadmill.settings import Settings
from threadmill_worker.progress import Leftover, Progress
from threadmill_worker.retry import while_redis_is_away

#: A worker's endpoints are known for so long after it was last seen, so that a restart does not turn jobs away.
_WORKER_KEPT = timedelta(days=1)

#: A refusal waits so long for its sender, as Celery's results do by default.
_REFUSAL_KEPT = timedelta(days=1)

#: Entries read from Redis in one go.
_AT_ONCE = 500

_HAND_BACK_PATIENCE_S = 3.0

#: Before a leftover is tried again; doubles with each try.
_LEFTOVER_DELAY_S = 10


class NoSuchJob(Exception):
    """There is no record of this id."""


class LeaseLost(Exception):
    """Another worker holds the job now, or it has ended: step back and leave it alone."""


class Ledger:
    """The records as one worker process sees them; `owner` is the name it claims jobs under."""

    def __init__(self, settings: Settings, owner: str) -> None:
        self.owner = owner
        self._settings = settings
        self._prefix = settings.key_prefix
        self._keys = keys.Keys(settings.key_prefix)
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            settings.redis_url,
            decode_responses=True,
            max_connections=50,  # more steps at once wait for a connection
            timeout=30,
            socket_timeout=15,
            socket_connect_timeout=5,
        )
        self._redis = redis.asyncio.Redis.from_pool(pool)
        self._create = self._redis.register_script(scripts.CREATE)
        self._claim = self._redis.register_script(scripts.CLAIM)
        self._renew = self._redis.register_script(scripts.RENEW)
        self._save = self._redis.register_script(scripts.SAVE)
        self._hand_back = self._redis.register_script(scripts.HAND_BACK)
        self._finish = self._redis.register_script(scripts.FINISH)
        self._rescue = self._redis.register_script(scripts.RESCUE)
        self._long_queued = self._redis.register_script(scripts.LONG_QUEUED)
        self._due_leftovers = self._redis.register_script(scripts.DUE_LEFTOVERS)
        self._postpone_leftover = self._redis.register_script(scripts.POSTPONE_LEFTOVER)

    async def create(self, job_id: str, job: PromptJob) -> None:
        """Makes the record of a job that came inside a message; does nothing if it is there."""
        body = job.model_dump_json(exclude_defaults=True)
        await self._step(self._create, job_id, body, job.digest, job.key or "", job.batch or "")

    async def claim(self, job_id: str) -> JobRecord | None:
        """The job's record, ours until the lease lapses; None if it has ended or another worker holds it.

        Raises NoSuchJob.
        """
        reply = await self._step(self._claim, job_id, self.owner, self._settings.lease_s)
        if reply[0] == "missing":
            raise NoSuchJob(job_id)
        if reply[0] != "claimed":
            return None
        return JobRecord.read(job_id, dict(zip(reply[1::2], reply[2::2], strict=True)))

    async def renew(self, job_ids: Iterable[str]) -> dict[str, str]:
        """Renews our leases in one step; tells which jobs are `lost` to others, which their owner wants to `cancel`."""
        news = await self._renew(args=[self._prefix, self.owner, self._settings.lease_s, *job_ids])
        return dict(zip(news[::2], news[1::2], strict=True))

    async def save(self, job_id: str, progress: Progress) -> None:
        """Raises LeaseLost."""
        if not await self._step(self._save, job_id, self.owner, progress.to_json()):
            raise LeaseLost(job_id)

    async def hand_back(self, job_id: str) -> bool:
        """Gives the job back as it stands; it spends no attempt. False if it was not ours any more.

        Raises REDIS_AWAY after a few seconds: a process on its way out does not wait for Redis, its leases lapse.
        """
        args = [self._prefix, job_id, self.owner]
        return bool(await self._patiently(self._hand_back, args=args, patience_s=_HAND_BACK_PATIENCE_S))

    async def finish(self, result: JobResult, leftovers: Iterable[Leftover], endpoint: str) -> None:
        """Ends a job of ours: record, counters, Celery's result and waiters in one step. Raises LeaseLost."""
        await self._end(self.owner, result, leftovers, endpoint)

    async def finish_queued(self, result: JobResult, leftovers: Iterable[Leftover], endpoint: str) -> None:
        """The same for a job that nobody holds. Raises LeaseLost if someone has claimed it."""
        await self._end("", result, leftovers, endpoint)

    async def refuse(self, result: JobResult) -> None:
        """Answers a message that never became a job: its sender waits at Celery's backend, there is no record."""
        key, meta = keys.celery_key(result.job_id), keys.celery_meta(result)
        if await self._patiently(self._redis.set, key, meta, nx=True, ex=_REFUSAL_KEPT):
            await self._patiently(self._redis.publish, key, meta)

    async def _end(self, owner: str, result: JobResult, leftovers: Iterable[Leftover], endpoint: str) -> None:
        ttl_s = self._settings.result_ttl_s if result.ok else self._settings.failed_ttl_s
        left = [LeftoverRecord(endpoint=endpoint, kind=each.kind, id=each.id).model_dump_json() for each in leftovers]
        args = keys.finish_args(owner, result, ttl_s, left)
        outcome = await self._step(self._finish, *args)
        if outcome not in ("finished", result.state):  # a repeat finds what its own first try did
            raise LeaseLost(result.job_id)

    async def get(self, job_id: str) -> JobRecord | None:
        """The job as it stands, whoever holds it."""
        fields = await self._patiently(self._redis.hgetall, self._keys.record(job_id))
        return JobRecord.read(job_id, cast(dict[str, str], fields)) if fields else None

    async def result(self, job_id: str) -> dict[str, Any] | None:
        """The result of a job that has ended, as Celery's backend keeps it."""
        stored = await self._patiently(self._redis.hget, self._keys.record(job_id), "result")
        return json.loads(stored) if stored else None

    async def may_sweep(self, for_s: float) -> bool:
        """Whether it is our turn; no other worker sweeps in the next `for_s` seconds."""
        return bool(await self._redis.set(self._keys.sweep, self.owner, nx=True, px=int(for_s * 1000)))

    async def uptime_s(self) -> float:
        """How long Redis has been up."""
        return float((await self._redis.info("server"))["uptime_in_seconds"])

    async def rescue(self) -> list[tuple[str, int]]:
        """Puts jobs whose lease has lapsed back to `queued`; gives their ids and attempts spent."""
        reply = await self._step(self._rescue, _AT_ONCE)
        return [(job_id, int(attempts)) for job_id, attempts in zip(reply[::2], reply[1::2], strict=True)]

    async def long_queued(self, for_s: float) -> list[str]:
        return list(await self._step(self._long_queued, for_s))

    async def messages(self) -> AsyncIterator[str]:
        """The job ids of the messages on the queue."""
        start = 0
        while chunk := await self._redis.lrange(self._settings.queue, start, start + _AT_ONCE - 1):
            for message in chunk:
                yield str(json.loads(message)["headers"]["id"])
            start += len(chunk)

    async def waiting(self) -> int:
        """How many messages are on the queue."""
        return int(await self._redis.llen(self._settings.queue))

    async def due_leftovers(self) -> list[LeftoverRecord]:
        return [LeftoverRecord.model_validate_json(each) for each in await self._step(self._due_leftovers, _AT_ONCE)]

    async def drop_leftover(self, leftover: LeftoverRecord) -> None:
        """It is gone."""
        member = leftover.model_dump_json()
        async with self._redis.pipeline() as pipe:
            pipe.zrem(self._keys.leftovers, member)
            pipe.hdel(self._keys.leftover_tries, member)
            await pipe.execute()

    async def postpone_leftover(self, leftover: LeftoverRecord) -> bool:
        """It could not be deleted now; False if it is not tried again."""
        most, ttl_s = self._settings.leftover_tries, self._settings.failed_ttl_s
        tries = await self._step(self._postpone_leftover, leftover.model_dump_json(), _LEFTOVER_DELAY_S, most, ttl_s)
        return int(tries) < most

    async def announce(self, worker: Worker) -> None:
        """Tells producers of this worker."""
        async with self._redis.pipeline() as pipe:
            pipe.hset(self._keys.workers, worker.name, worker.model_dump_json())
            pipe.expire(self._keys.workers, _WORKER_KEPT)
            await pipe.execute()

    async def forget_old_workers(self) -> None:
        """Drops what workers announced that nobody has seen for a day."""
        oldest = datetime.now(UTC) - _WORKER_KEPT
        for name, announced in (await self._redis.hgetall(self._keys.workers)).items():
            if Worker.model_validate_json(announced).seen_at < oldest:
                await self._redis.hdel(self._keys.workers, name)

    async def close(self) -> None:
        await self._redis.aclose()

    async def _step(self, script: AsyncScript, *args: Any) -> Any:
        return await self._patiently(script, args=[self._prefix, *args])

    async def _patiently(
        self, call: Callable[..., Awaitable[Any]], *args: Any, patience_s: float = math.inf, **kwargs: Any
    ) -> Any:
        """Repeats the call while Redis is away, for `patience_s` or what the settings allow, if that is less."""
        async for attempt in while_redis_is_away(min(patience_s, self._settings.redis_patience_s)):
            with attempt:
                return await call(*args, **kwargs)
        raise AssertionError("tenacity ends by returning or raising")
