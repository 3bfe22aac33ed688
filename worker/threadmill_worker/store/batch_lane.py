"""The worker's operations on jobs in the batch lane and on remote batches."""

import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import cast

import structlog
from redis.asyncio import Redis

from threadmill.errors import NewerRecord, UnreadableRecord
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill.settings.endpoints.pool_name import Pool
from threadmill.settings.settings import Settings
from threadmill.store import lease
from threadmill.store.records.batch import RemoteBatch
from threadmill.store.records.job import FORMAT, JobRecord
from threadmill.store.records.remote import LeftoverRecord
from threadmill.stored import read, warn
from threadmill_worker.lifecycle.progress import Progress
from threadmill_worker.store.connection import Connection
from threadmill_worker.store.jobs import Lease, LeaseLost

log = structlog.get_logger(__name__)

#: Overdue jobs read at a time.
OVERDUE_AT_ONCE = 200

#: Jobs that one script moves. More would hold Redis for too long.
MOVED_AT_ONCE = 20


class LaneStore(Connection):
    """Each step can be repeated. `name` is the worker's; `now` returns Redis' time in seconds since 1970."""

    def __init__(self, settings: Settings, name: str, redis: Redis, now: Callable[[], float]) -> None:
        super().__init__(settings, redis)
        self._name = name
        self._now = now
        self._owners: dict[str, str] = {}  #: the owners of the leases that this worker holds, by remote batch

    async def wait(self, lease: Lease, record: JobRecord, lane: str, timeline: str | None) -> None:
        """Puts a claimed job into the batch lane, where it waits without a worker. Raises LeaseLost.

        `timeline`: as JSON, if it has changed.
        """
        limit_s = self._settings.endpoints[Pool.parse(lane).endpoint].batch_lane_limit_s
        reply = await self._run(
            "lane/wait",
            id=lease.job_id,
            owner=lease.owner,
            lane=lane,
            longest_s=limit_s,
            deadline=record.job.deadline_at.timestamp() if record.job.deadline_at else None,
            timeline=timeline,
        )
        if reply == ["lost"]:
            raise LeaseLost(lease.job_id)

    async def lanes(self) -> list[str]:
        """Returns the lanes in which jobs wait for a remote batch."""
        return sorted(cast(set[str], await self._redis.smembers(self._keys.lanes)))

    async def collect(self, lane: str, batch: RemoteBatch, endpoint: Endpoint) -> int:
        """Moves waiting jobs into a new remote batch, once there are enough or one has waited long enough.

        Returns the number of these jobs; with 0, there is no remote batch. While the endpoint is paused, all wait.
        """
        limit, jobs, skipped = endpoint.batch_lane_max_jobs, 0, 0
        async with self.holding(batch.name):  # nobody sends it before it is complete
            while jobs < limit:
                at_once = min(MOVED_AT_ONCE, limit - jobs)
                _, collected, left = await self._run(
                    "lane/collect",
                    lane=lane,
                    endpoint=batch.endpoint,
                    limit=limit,
                    wait_s=endpoint.batch_lane_wait_s,
                    name=batch.name,
                    remote_batch=batch.model_dump_json(),
                    at_once=at_once,
                    skip=skipped,
                    is_more=jobs > 0,
                )
                if not collected and not left:
                    break
                jobs, skipped = jobs + collected, skipped + left
        return jobs

    async def remote_batches(self) -> list[RemoteBatch]:
        """Returns the unfinished remote batches that this version can read."""
        entries = cast(dict[str, str], await self._redis.hgetall(self._keys.remote_batches))
        found = [_remote_batch(name, entry) for name, entry in entries.items()]
        return [batch for batch in found if batch and not _is_newer(batch)]

    @asynccontextmanager
    async def holding(self, name: str) -> AsyncIterator[RemoteBatch | None]:
        """Acquires the lease of a remote batch and yields it; None if another worker holds it, or it has ended.

        If the lease is lost, the body is cancelled, and the context ends without an error.
        """
        key, owner = self._keys.remote_batch_held(name), f"{self._name}:{uuid.uuid4().hex}"
        try:
            async with lease.holding(self._redis, key, owner, self._settings.lease_s) as is_ours:
                if is_ours:
                    self._owners[name] = owner
                yield await self.get(name) if is_ours else None
        except LeaseLost:
            log.warning("lease lost", batch=name)
        finally:
            if self._owners.get(name) == owner:
                del self._owners[name]

    async def get(self, name: str) -> RemoteBatch | None:
        """Returns a remote batch; None if it has ended or is unreadable."""
        entry = cast(str | None, await self._redis.hget(self._keys.remote_batches, name))
        return _remote_batch(name, entry) if entry else None

    async def save(self, batch: RemoteBatch) -> RemoteBatch:
        """Saves and returns the remote batch. Raises LeaseLost if this worker no longer holds its lease."""
        request = {
            "lease": self._keys.remote_batch_held(batch.name),
            "owner": self._owners.get(batch.name, ""),
            "hash": self._keys.remote_batches,
            "field": batch.name,
            "value": batch.model_dump_json(),
        }
        if await self._scripts.run("write_with_lease", request) == ["lost"]:
            raise LeaseLost(f"remote batch {batch.name}")
        return batch

    async def jobs(self, batch: RemoteBatch) -> list[JobRecord]:
        """Returns its readable jobs that still wait. Raises NewerRecord if only a newer worker can run one of them."""
        ids = sorted(cast(set[str], await self._redis.smembers(self._keys.remote_batch(batch.name))))
        jobs, newer = await self._read(ids)
        if newer:
            raise newer
        return [job for job in jobs if job.remote_batch == batch.name]

    async def _read(self, ids: Sequence[str]) -> tuple[list[JobRecord], NewerRecord | None]:
        """Returns the jobs that wait in the lane, and why only a newer worker can run one of them, if so.

        A job that cannot be read leaves the lane, so that its claim fails it.
        """
        async with self._redis.pipeline(transaction=False) as pipe:
            for job_id in ids:
                pipe.hgetall(self._keys.record(job_id))
            found = zip(ids, await pipe.execute(), strict=True)
        jobs: list[JobRecord] = []
        newer: NewerRecord | None = None
        for job_id, fields in found:
            try:
                job = JobRecord.read(job_id, fields) if fields.get("remote_batch") else None
            except NewerRecord as error:
                newer = error
            except UnreadableRecord as error:
                log.warning("job leaves the batch lane", job_id=job_id, reason=error.reason)
                await self._release(job_id, fields["remote_batch"], fields.get("progress", ""))
            else:
                newer = (job and job.newer) or newer
                jobs += [job] if job and not job.newer else []
        return jobs, newer

    async def overdue(self) -> list[JobRecord]:
        """Returns jobs that have waited in the lane for too long, some at a time."""
        _, *job_ids = await self._run("lane/overdue", limit=OVERDUE_AT_ONCE)
        jobs, _ = await self._read(job_ids)
        return jobs

    async def release(self, job: JobRecord, progress: Progress) -> bool:
        """Makes a job an ordinary queued job again. Returns False if it no longer waits."""
        return await self._release(job.id, str(job.remote_batch), progress.to_json())

    async def _release(self, job_id: str, remote_batch: str, progress: str) -> bool:
        reply = await self._run("lane/release", id=job_id, name=remote_batch, progress=progress)
        return bool(reply == ["released"])

    async def replace(
        self, batch: RemoteBatch, parts: Iterable[tuple[RemoteBatch, Sequence[str]]], left: Iterable[LeftoverRecord]
    ) -> None:
        """Moves the jobs of a remote batch into new ones; `left` become leftovers."""
        moves = [
            {
                "name": part.name,
                "remote_batch": part.model_dump_json(),
                "jobs": list(ids[start : start + MOVED_AT_ONCE]),
            }
            for part, ids in parts
            for start in range(0, len(ids), MOVED_AT_ONCE)
        ]
        for number, move in enumerate(moves, start=1):
            is_last = number == len(moves)
            leftovers = [each.to_json() for each in left] if is_last else []
            await self._run("lane/replace", name=batch.name, new=[move], is_last=is_last, leftovers=leftovers)

    async def forget(self, batch: RemoteBatch, leftovers: Iterable[LeftoverRecord]) -> None:
        """Removes a remote batch that has ended; `leftovers` are to be deleted on the server."""
        async with self._redis.pipeline() as pipe:
            for leftover in leftovers:
                pipe.zadd(self._keys.leftovers, {leftover.to_json(): self._now()})
            pipe.hdel(self._keys.remote_batches, batch.name)
            pipe.delete(self._keys.remote_batch(batch.name))
            await pipe.execute()


def _remote_batch(name: str, entry: str) -> RemoteBatch | None:
    return read(RemoteBatch, entry, f"remote batch {name}")


def _is_newer(batch: RemoteBatch) -> bool:
    if batch.format > FORMAT:
        warn(f"remote batch {batch.name} is left alone: it has format {batch.format}, and this version knows {FORMAT}")
    return batch.format > FORMAT


def new_batch(name: str, lane: str, made_at: datetime) -> RemoteBatch:
    """Returns a remote batch without jobs for the lane, whose jobs all use the same key."""
    of = Pool.parse(lane)
    return RemoteBatch(name=name, endpoint=of.endpoint, lane=lane, made_at=made_at, key=of.key)
