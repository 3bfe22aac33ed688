"""The worker's verbs on the records in Redis: claim, renew, save, hand back, finish.

Every step is one atomic script (threadmill/keys.py) and is repeated while Redis is away.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import redis.asyncio
from redis.commands.core import AsyncScript

from threadmill import keys
from threadmill.job import JobRecord, JobResult, PromptJob, Worker
from threadmill.settings import Settings
from threadmill_worker.progress import Leftover, Progress
from threadmill_worker.retry import while_redis_is_away

#: A worker's endpoints are known for so long after it was last seen, so that a restart does not turn jobs away.
_WORKER_KEPT = timedelta(days=1)


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
        self._create = self._redis.register_script(keys.CREATE)
        self._claim = self._redis.register_script(keys.CLAIM)
        self._renew = self._redis.register_script(keys.RENEW)
        self._save = self._redis.register_script(keys.SAVE)
        self._hand_back = self._redis.register_script(keys.HAND_BACK)
        self._finish = self._redis.register_script(keys.FINISH)

    async def create(self, job_id: str, job: PromptJob) -> None:
        """Makes the record of a job that came inside a message; does nothing if it is there."""
        body = job.model_dump_json(exclude_defaults=True)
        await self._step(self._create, job_id, body, job.digest, job.key or "", job.batch or "")

    async def claim(self, job_id: str) -> JobRecord | None:
        """The job's record, ours until the lease lapses; None if it has ended or another worker holds it."""
        reply = await self._step(self._claim, job_id, self.owner, self._settings.lease_s)
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
        """Gives the job back as it stands; it spends no attempt. False if it was not ours any more."""
        return bool(await self._step(self._hand_back, job_id, self.owner))

    async def finish(self, result: JobResult, leftovers: Iterable[Leftover], endpoint: str) -> None:
        """Ends the job: record, counters, Celery's result and waiters in one step. Raises LeaseLost."""
        ttl_s = self._settings.result_ttl_s if result.ok else self._settings.failed_ttl_s
        left = [json.dumps({"endpoint": endpoint, "kind": each.kind, "id": each.id}) for each in leftovers]
        args = keys.finish_args(self._prefix, self.owner, result, ttl_s, left)
        outcome = await self._step(self._finish, *args[1:])
        if outcome not in ("finished", result.state):  # a repeat finds what its own first try did
            raise LeaseLost(result.job_id)

    async def result(self, job_id: str) -> dict[str, Any] | None:
        """The result of a job that has ended, as Celery's backend keeps it."""
        async for attempt in while_redis_is_away(self._settings.redis_patience_s):
            with attempt:
                stored = await self._redis.hget(self._keys.record(job_id), "result")
        return json.loads(stored) if stored else None

    async def announce(self, worker: Worker) -> None:
        """Tells producers of this worker."""
        await self._redis.hset(self._keys.workers, worker.name, worker.model_dump_json())

    async def forget_old_workers(self) -> None:
        """Drops what workers announced that nobody has seen for a day."""
        oldest = datetime.now(UTC) - _WORKER_KEPT
        for name, announced in (await self._redis.hgetall(self._keys.workers)).items():
            if Worker.model_validate_json(announced).seen_at < oldest:
                await self._redis.hdel(self._keys.workers, name)

    async def close(self) -> None:
        await self._redis.aclose()

    async def _step(self, script: AsyncScript, *args: Any) -> Any:
        async for attempt in while_redis_is_away(self._settings.redis_patience_s):
            with attempt:
                return await script(args=[self._prefix, *args])
        raise AssertionError("tenacity ends by returning or raising")
