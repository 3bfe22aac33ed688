"""The worker's operations on the records in Redis: claim, renew, save, hand back, finish; share objects.

Every step on a job is one script (threadmill/store/scripts.py) and is repeated while Redis is away.
"""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count, islice
from types import MappingProxyType
from typing import Any, cast

import redis.asyncio
import structlog
from redis.exceptions import NoPermissionError

from threadmill.errors import SettingsError
from threadmill.job.prompt import PromptJob
from threadmill.job.result import Failure, JobResult, JobState
from threadmill.redis import client
from threadmill.settings.settings import Settings
from threadmill.store import keys, requests
from threadmill.store.lease import LeaseLost as LeaseLost  # of a job: somebody else has claimed it, or it has ended
from threadmill.store.lease import take
from threadmill.store.records import JobRecord, newer_format, packed
from threadmill.store.remote_records import Applied, KeptThread, LeftoverRecord, Transcript
from threadmill.store.worker_records import Worker
from threadmill.stored import read
from threadmill_worker.lifecycle.progress import Leftover, Progress
from threadmill_worker.live import Due
from threadmill_worker.store.connection import Connection
from threadmill_worker.store.redis_clock import RedisClock

log = structlog.get_logger(__name__)

#: A worker's endpoints are known for so long after it was last seen, so that a restart does not turn jobs away.
_WORKER_KEPT = timedelta(days=1)

#: Entries read from Redis at a time.
_AT_ONCE = 500

#: Events kept of a running job: the newest.
_LIVE_ENTRIES = 2000

_HAND_BACK_PATIENCE_S = 3.0

#: Before a leftover is tried again; doubles with each try.
_LEFTOVER_DELAY_S = 10

#: A worker that took a leftover has this long to delete it; deleting it twice would do no harm.
_LEFTOVER_HELD_S = 60


class NoSuchJob(Exception):
    """There is no record of this id."""


class UnreadableThread(Exception):
    """The record of the thread cannot be read, so the thread cannot be continued."""


@dataclass(frozen=True)
class Lease:
    """One claim of a job. The next claim has another lease, even in the same process."""

    job_id: str
    owner: str  #: the worker's name and the number of the claim


@dataclass(frozen=True)
class Busy:
    """Another job creates the object now: wait, then ask again."""


class JobStore(Connection):
    """The records as one worker process sees them; `name` is the worker's.

    `send(job_id)` puts a message on the queue; it is called in a thread.
    """

    def __init__(self, settings: Settings, name: str, send: Callable[[str], None]) -> None:
        super().__init__(settings, client.asynchronous(settings.redis_url))
        self.clock = RedisClock(self._redis)
        self._name = name
        self._claims = count(1)
        self._send = send

    @property
    def redis(self) -> redis.asyncio.Redis:
        """The client, for other operations on the same records."""
        return self._redis

    async def create(self, job_id: str, job: PromptJob) -> None:
        """Creates the record of a job that came inside a queue message, unless it exists."""
        await self._run("jobs/create", **requests.create(job_id, job, self._endpoint(job)))

    def lease(self, job_id: str) -> Lease:
        """Returns a lease to claim the job with."""
        return Lease(job_id, f"{self._name}:{next(self._claims)}")

    async def read_clock(self) -> None:
        """Waits until `clock` shows Redis' time."""
        await self._with_retries(self.clock.ready)

    async def claim(self, lease: Lease) -> JobRecord | None:
        """Claims a job and returns its record. The lease can be renewed until another worker claims the job.

        Returns None if the job has ended, another worker holds it, or it waits for its turn on its thread; when the job
        before it ends, a new message is sent. Raises NoSuchJob, UnreadableRecord for a job that this worker now holds,
        and NewerRecord for a job that is left to a newer worker.
        """
        await self.read_clock()  # the deadline of the job is Redis' time
        outcome, *values = await self._run(
            "jobs/claim", id=lease.job_id, owner=lease.owner, lease_s=self._settings.lease_s
        )
        if outcome == "missing":
            raise NoSuchJob(lease.job_id)
        if outcome == "newer":
            raise newer_format(lease.job_id, int(values[0]))
        if outcome != "claimed":
            return None
        record = JobRecord.read(lease.job_id, dict(_pairs(values)))
        if record.progress:
            unknown = record.unknown + Progress.unknown_fields(record.progress)
            record = record.model_copy(update={"unknown": unknown})
        if record.newer:
            await self.hand_back(lease)
            raise record.newer
        return record

    async def renew(self, leases: Iterable[Lease], calls: Mapping[str, int] = MappingProxyType({})) -> dict[str, str]:
        """Renews leases in one step. Returns a signal for some jobs: `lost`, `cancel` or `followed`.

        `calls`: the number of HTTP calls made so far, by job id.
        """
        held = [{"id": lease.job_id, "owner": lease.owner} for lease in leases]
        jobs = [job | {"calls": calls[job["id"]]} if job["id"] in calls else job for job in held]
        _, *news = await self._scripts.run("jobs/renew", {"lease_s": self._settings.lease_s, "jobs": jobs})
        return dict(_pairs(news))

    async def save(self, lease: Lease, progress: Progress) -> None:
        """Raises LeaseLost."""
        _ensure_owned(
            lease, await self._run("jobs/save", id=lease.job_id, owner=lease.owner, progress=progress.to_json())
        )

    async def count_interruption(self, lease: Lease) -> int:
        """Counts that the job's own process has died; returns how often in a row. Raises LeaseLost."""
        reply = await self._run("jobs/count_interruption", id=lease.job_id, owner=lease.owner)
        _ensure_owned(lease, reply)
        return int(reply[1])

    async def hand_back(self, lease: Lease, calls: int | None = None) -> bool:
        """Returns the job to the queue; this does not count as an attempt. Returns False if the lease was lost.

        `calls`: HTTP calls made for it so far. Raises RedisError after a few seconds: a process that exits does not
        wait for Redis, and its leases expire.
        """
        request = {"id": lease.job_id, "owner": lease.owner, "calls": calls}
        reply = await self._with_retries(self._scripts.run, "jobs/hand_back", request, patience_s=_HAND_BACK_PATIENCE_S)
        return bool(reply == ["queued"])

    async def finish(
        self,
        lease: Lease,
        result: JobResult,
        leftovers: Iterable[Leftover],
        endpoint: str,
        kept: KeptThread | None = None,
        remains: PromptJob | None = None,
    ) -> None:
        """Ends a claimed job: record, counters, Celery's result and waiters in one step. Raises LeaseLost.

        `kept`: the kept thread, as of this job alone; it is merged with the stored entry, and the leftovers stay with
        it. With `jobs=0` it is a foreign thread, which is only updated if it is stored. `remains`: the job that the
        record keeps; default: the whole job.
        """
        left = [LeftoverRecord(endpoint=endpoint, kind=each.kind, id=each.id).model_dump_json() for each in leftovers]
        await self._end(lease.owner, result, left, kept, remains)

    async def fail(self, lease: Lease, record: JobRecord, failure: Failure) -> JobResult:
        """Ends a claimed job as failed. Its active run and its remote objects become leftovers.

        Raises LeaseLost.
        """
        return await self._stop(lease.owner, record, failure)

    async def fail_queued(self, record: JobRecord, failure: Failure) -> JobResult:
        """Ends a queued job as failed. Raises LeaseLost if a worker has claimed it."""
        return await self._stop(None, record, failure)

    async def cancel_queued(self, record: JobRecord, failure: Failure) -> JobResult:
        """Ends a queued job as cancelled. Raises LeaseLost if a worker has claimed it."""
        return await self._stop(None, record, failure, JobState.CANCELLED)

    async def cancel_unread(self, job_id: str, failure: Failure) -> JobResult:
        """Ends a queued job with an unreadable record as cancelled."""
        result = JobResult.without_record(job_id, JobState.CANCELLED, failure, self.clock.moment())
        await self._end(None, result, ())
        return result

    async def request_cancel(self, job_id: str) -> None:
        """Requests the cancellation of a running job; does nothing if it does not run."""
        await self._run("jobs/request_cancel", id=job_id)

    async def revoke(self, job_id: str) -> None:
        """Records that a job without a record must be cancelled when it is delivered."""
        await self._with_retries(self._redis.set, self._keys.revoked(job_id), 1, ex=self._settings.failed_ttl_s)

    async def was_revoked(self, job_id: str) -> bool:
        return bool(await self._with_retries(self._redis.exists, self._keys.revoked(job_id)))

    async def refuse(self, result: JobResult) -> None:
        """Stores the result of a message that never became a job, for its sender, who waits for Celery's result."""
        key, value = keys.celery_key(result.job_id), requests.celery_result(result)
        if await self._with_retries(self._redis.set, key, value, nx=True, ex=self._settings.failed_ttl_s):
            await self._with_retries(self._redis.publish, key, value)

    async def _stop(
        self, owner: str | None, record: JobRecord, failure: Failure, state: JobState = JobState.FAILED
    ) -> JobResult:
        result = record.stopped(state, failure, self.clock.moment())
        await self._end(owner, result, record.remains(self._endpoint(record.job)))
        return result

    async def _end(
        self,
        owner: str | None,
        result: JobResult,
        leftovers: Sequence[str],
        kept: KeptThread | None = None,
        remains: PromptJob | None = None,
    ) -> None:
        request = requests.finish(
            owner,
            result,
            self._settings.lifetimes_s,
            leftovers,
            stored_job=packed(remains) if remains else None,
            kept_thread=kept.model_dump_json(exclude_none=True) if kept else None,
            transcript=(kept.transcript.to_json() or None) if kept and kept.transcript else None,
        )
        outcome, *following = await self._run("jobs/finish", **request)
        if outcome not in ("finished", result.state):  # a repeat finds what its own first try did
            raise LeaseLost(result.job_id)
        for job_id in following:
            await self._send_next(job_id)

    async def _send_next(self, job_id: str) -> None:
        """Sends the job whose turn it is now. If its message is lost, the sweep sends another."""
        try:
            await asyncio.to_thread(self._send, job_id)
        except Exception as error:  # it must not fail the job that has ended
            log.warning("next job of the thread not sent: the sweep will", job_id=job_id, reason=str(error))

    def _endpoint(self, job: PromptJob) -> str:
        """Returns the endpoint of the job; '' if this worker does not know it."""
        try:
            return self._settings.endpoint_name(job.endpoint)
        except SettingsError:
            return job.endpoint or ""

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
        reply = await self._run("remote/add_shared", batch=batch, name=name, object=leftover.model_dump_json())
        return bool(reply == ["added"])

    async def release_shared(self, batch: str, name: str, job_id: str) -> None:
        """Lets another job create the object now."""
        await self._run("remote/release_shared", batch=batch, name=name, job_id=job_id)

    async def get(self, job_id: str) -> JobRecord | None:
        """Returns the record, whoever owns the job; None if there is none. Raises UnreadableRecord."""
        fields = await self._with_retries(self._redis.hgetall, self._keys.record(job_id))
        return JobRecord.read(job_id, cast(dict[str, str], fields)) if fields else None

    async def assistant_of(self, endpoint: str, profile: str) -> str | None:
        """Returns the id of the assistant of an applied profile, or None."""
        name = keys.applied_name(endpoint, profile)
        entry = await self._with_retries(self._redis.hget, self._keys.assistants, name)
        applied = read(Applied, entry, f"what profile {profile} was applied to on {endpoint}") if entry else None
        return applied.id if applied else None

    async def kept_thread(self, endpoint: str, thread_id: str) -> KeptThread | None:
        """Returns a kept thread with its transcript, or None. Raises UnreadableThread."""
        name = keys.thread_name(endpoint, thread_id)
        entry = await self._with_retries(self._redis.hget, self._keys.threads, name)
        if not entry:
            return None
        if (kept := read(KeptThread, entry, f"kept thread {name}")) is None:
            raise UnreadableThread(f"what is kept of thread {thread_id} is damaged or was written by a newer version")
        if not kept.is_chain:
            return kept
        text = await self._with_retries(self._redis.get, self._keys.transcript(name))
        transcript = read(Transcript, text, f"the transcript of thread {thread_id}") if text else None
        return kept.model_copy(update={"transcript": transcript})

    async def result(self, job_id: str) -> dict[str, Any] | None:
        """Returns the result of an ended job as Celery's backend stores it; None if it is missing or unreadable."""
        stored = await self._with_retries(self._redis.hget, self._keys.record(job_id), "result")
        result = read(JobResult, stored, f"the result of job {job_id}") if stored else None
        return result.model_dump(mode="json") if result else None

    async def may_sweep(self, for_s: float) -> bool:
        """Acquires the lease of the sweep for `for_s` seconds; returns whether it did."""
        return await take(self._redis, self._keys.sweep, self._name, for_s) is not None

    async def uptime_s(self) -> float:
        """Returns how long Redis has been up; infinity if its ACL forbids INFO."""
        try:
            return float((await self._redis.info("server"))["uptime_in_seconds"])
        except NoPermissionError:
            return math.inf

    async def rescue(self) -> list[tuple[str, int]]:
        """Returns jobs with an expired lease to the queue. Returns their ids, and each one's interruptions in a row.

        Does nothing without the lease of the sweep. Not repeated while Redis is unavailable: afterwards, living
        workers must renew their leases first.
        """
        _, *rescued = await self._scripts.run("jobs/rescue", {"worker": self._name, "limit": _AT_ONCE})
        return [(job_id, int(interruptions)) for job_id, interruptions in _pairs(rescued)]

    async def long_queued(self, for_s: float) -> list[str]:
        """Returns the jobs that have been queued for longer and wait for nothing but a worker."""
        _, *job_ids = await self._run("jobs/long_queued", longer_than_s=for_s)
        return list(job_ids)

    async def messages(self) -> AsyncIterator[str]:
        """Yields the job ids of the messages on the queue; leaves out items that are not messages."""
        start = 0
        while chunk := await self._redis.lrange(self._settings.queue, start, start + _AT_ONCE - 1):
            for message in chunk:
                try:
                    yield str(json.loads(message)["headers"]["id"])
                except (ValueError, LookupError, TypeError, RecursionError):
                    continue
            start += len(chunk)

    async def waiting(self) -> int:
        """Returns the number of messages on the queue."""
        return int(await self._redis.llen(self._settings.queue))

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
        member = leftover.model_dump_json()
        async with self._redis.pipeline() as pipe:
            pipe.zrem(self._keys.leftovers, member)
            pipe.hdel(self._keys.leftover_attempts, member)
            await pipe.execute()

    async def postpone_leftover(self, leftover: LeftoverRecord) -> bool:
        """Counts a failed attempt to delete a leftover. Returns False if it was the last."""
        limit = self._settings.cleanup_attempts
        _, attempts = await self._run(
            "remote/postpone_leftover",
            leftover=leftover.model_dump_json(),
            first_delay_s=_LEFTOVER_DELAY_S,
            limit=limit,
            ttl_s=self._settings.failed_ttl_s,
        )
        return int(attempts) < limit

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

    async def close(self) -> None:
        await self._redis.aclose()


def _pairs(values: Sequence[str]) -> Iterator[tuple[str, str]]:
    return zip(values[::2], values[1::2], strict=True)


def _ensure_owned(lease: Lease, reply: Sequence[str]) -> None:
    """Raises LeaseLost if a script replied so."""
    if reply[0] == "lost":
        raise LeaseLost(lease.job_id)
