"""The worker's operations on the records in Redis: claim, renew, save, hand back, finish; share objects.

Every step on a job is one atomic script (threadmill/store/scripts/jobs.py) and is repeated while Redis is away.
"""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count, islice
from types import MappingProxyType
from typing import Any, cast

import redis.asyncio
import structlog
from redis.commands.core import AsyncScript
from redis.exceptions import NoPermissionError

from threadmill.errors import SettingsError
from threadmill.job.prompt import PromptJob
from threadmill.job.result import Failure, JobResult, JobState
from threadmill.redis import client
from threadmill.settings.settings import Settings
from threadmill.store import keys
from threadmill.store.lease import LeaseLost as LeaseLost  # of a job: somebody else has claimed it, or it has ended
from threadmill.store.lease import take
from threadmill.store.records import JobRecord, newer_format
from threadmill.store.remote_records import Applied, KeptThread, LeftoverRecord, Transcript
from threadmill.store.scripts import jobs, remote
from threadmill.store.worker_records import Worker
from threadmill.stored import read
from threadmill_worker.lifecycle.progress import Leftover, Progress
from threadmill_worker.live import Due
from threadmill_worker.retry import while_redis_is_away
from threadmill_worker.store.redis_clock import RedisClock

log = structlog.get_logger(__name__)

#: A worker's endpoints are known for so long after it was last seen, so that a restart does not turn jobs away.
_WORKER_KEPT = timedelta(days=1)

#: Entries read from Redis in one go.
_AT_ONCE = 500

#: Entries of what is told of a job while it runs: the newest.
_LIVE_ENTRIES = 2000

_HAND_BACK_PATIENCE_S = 3.0

#: Before a leftover is tried again; doubles with each try.
_LEFTOVER_DELAY_S = 10

#: A worker that took a leftover has this long to delete it; deleting it twice would do no harm.
_LEFTOVER_HELD_S = 60


class NoSuchJob(Exception):
    """There is no record of this id."""


class UnreadableThread(Exception):
    """Nobody knows how to continue the thread."""


@dataclass(frozen=True)
class Lease:
    """One claim of a job. Whoever claims the job next, this process included, has another one."""

    job_id: str
    owner: str  #: the worker's name and the number of the claim


@dataclass(frozen=True)
class Busy:
    """Another job makes the thing now: wait a little and ask again."""


class Ledger:
    """The records as one worker process sees them; `name` is the worker's.

    `send(job_id)` puts a message on the queue; it is called in a thread.
    """

    def __init__(self, settings: Settings, name: str, send: Callable[[str], None]) -> None:
        self._name = name
        self._claims = count(1)
        self._send = send
        self._settings = settings
        self._prefix = settings.key_prefix
        self._keys = keys.Keys(settings.key_prefix)
        self._redis = client.asynchronous(settings.redis_url)
        self.clock = RedisClock(self._redis)
        self._create = self._redis.register_script(jobs.CREATE)
        self._claim = self._redis.register_script(jobs.CLAIM)
        self._renew = self._redis.register_script(jobs.RENEW)
        self._save = self._redis.register_script(jobs.SAVE)
        self._lapse = self._redis.register_script(jobs.LAPSE)
        self._hand_back = self._redis.register_script(jobs.HAND_BACK)
        self._finish = self._redis.register_script(jobs.FINISH)
        self._request_cancel = self._redis.register_script(jobs.REQUEST_CANCEL)
        self._rescue = self._redis.register_script(jobs.RESCUE)
        self._long_queued = self._redis.register_script(jobs.LONG_QUEUED)
        self._borrow = self._redis.register_script(remote.BORROW)
        self._lend = self._redis.register_script(remote.LEND)
        self._give_back = self._redis.register_script(remote.GIVE_BACK)
        self._take_leftover = self._redis.register_script(remote.TAKE_LEFTOVER)
        self._postpone_leftover = self._redis.register_script(remote.POSTPONE_LEFTOVER)

    @property
    def redis(self) -> redis.asyncio.Redis:
        """Our connections, for other verbs on the same records."""
        return self._redis

    async def create(self, job_id: str, job: PromptJob) -> None:
        """Makes the record of a job that came inside a message; does nothing if it is there."""
        await self._step(self._create, *keys.create_args(job_id, job, self._endpoint(job)))

    def lease(self, job_id: str) -> Lease:
        """One to claim the job with."""
        return Lease(job_id, f"{self._name}:{next(self._claims)}")

    async def read_clock(self) -> None:
        """Returns once `clock` is Redis' time."""
        await self._patiently(self.clock.ready)

    async def claim(self, lease: Lease) -> JobRecord | None:
        """The job's record, ours until the lease lapses and somebody else claims it.

        None if it has ended, another worker holds it, or it waits for its turn on its thread: then the end of the
        job before it sends it again. Raises NoSuchJob, UnreadableRecord for a job that is ours now, and NewerRecord
        for one that is left to a newer worker.
        """
        await self.read_clock()  # the deadline of the job is Redis' time
        reply = await self._step(self._claim, lease.job_id, lease.owner, self._settings.lease_s)
        if reply[0] == "missing":
            raise NoSuchJob(lease.job_id)
        if reply[0] == "newer":
            raise newer_format(lease.job_id, int(reply[1]))
        if reply[0] != "claimed":
            return None
        record = JobRecord.read(lease.job_id, dict(zip(reply[1::2], reply[2::2], strict=True)))
        if record.progress:
            unknown = record.unknown + Progress.unknown_fields(record.progress)
            record = record.model_copy(update={"unknown": unknown})
        if record.newer:
            await self.hand_back(lease)
            raise record.newer
        return record

    async def renew(self, leases: Iterable[Lease], calls: Mapping[str, int] = MappingProxyType({})) -> dict[str, str]:
        """Renews leases in one step; tells which jobs are `lost` to others, which to `cancel`, which `followed`.

        `calls`: by job id, how many HTTP calls were made for it so far.
        """
        held = [part for lease in leases for part in (lease.job_id, lease.owner, calls.get(lease.job_id, ""))]
        news = await self._renew(args=[self._prefix, self._settings.lease_s, *held])
        return dict(zip(news[::2], news[1::2], strict=True))

    async def save(self, lease: Lease, progress: Progress) -> None:
        """Raises LeaseLost."""
        if not await self._step(self._save, lease.job_id, lease.owner, progress.to_json()):
            raise LeaseLost(lease.job_id)

    async def count_lapse(self, lease: Lease) -> int:
        """Notes that the job's own process has ended; gives how often that happened in a row. Raises LeaseLost."""
        lapses = int(await self._step(self._lapse, lease.job_id, lease.owner))
        if not lapses:
            raise LeaseLost(lease.job_id)
        return lapses

    async def hand_back(self, lease: Lease, calls: int | None = None) -> bool:
        """Gives the job back as it stands; it spends no attempt. False if it was not ours any more.

        `calls`: HTTP calls made for it so far.
        Raises RedisError after a few seconds: a process on its way out does not wait for Redis, its leases lapse.
        """
        args = [self._prefix, lease.job_id, lease.owner, "" if calls is None else calls]
        return bool(await self._patiently(self._hand_back, args=args, patience_s=_HAND_BACK_PATIENCE_S))

    async def finish(
        self,
        lease: Lease,
        result: JobResult,
        leftovers: Iterable[Leftover],
        endpoint: str,
        kept: KeptThread | None = None,
        remains: PromptJob | None = None,
    ) -> None:
        """Ends a job of ours: record, counters, Celery's result and waiters in one step. Raises LeaseLost.

        `kept`: the thread that lives on, as of this job alone; it is merged with what is known of it, and the
        leftovers live on with it. With `jobs=0` only if it is known: a stranger's thread is not ours to list.
        `remains`: what the record keeps of the job; default: all.
        """
        left = [LeftoverRecord(endpoint=endpoint, kind=each.kind, id=each.id).model_dump_json() for each in leftovers]
        await self._end(lease.owner, result, left, kept, remains)

    async def fail(self, lease: Lease, record: JobRecord, failure: Failure) -> JobResult:
        """Ends a job of ours where it stands. Its active run is cancelled later, and what it made deleted.

        Raises LeaseLost.
        """
        return await self._stop(lease.owner, record, failure)

    async def fail_queued(self, record: JobRecord, failure: Failure) -> JobResult:
        """The same for a queued job. Raises LeaseLost if somebody has claimed it."""
        return await self._stop("", record, failure)

    async def cancel_queued(self, record: JobRecord, failure: Failure) -> JobResult:
        """Ends a queued job as cancelled. Raises LeaseLost if somebody has claimed it."""
        return await self._stop("", record, failure, JobState.CANCELLED)

    async def cancel_unread(self, job_id: str, failure: Failure) -> JobResult:
        """The same for a job whose record cannot be read."""
        result = JobResult.without_record(job_id, JobState.CANCELLED, failure, self.clock.moment())
        await self._end("", result, ())
        return result

    async def request_cancel(self, job_id: str) -> None:
        """Has the worker that runs the job cancel it; does nothing if none does."""
        await self._step(self._request_cancel, job_id)

    async def revoke(self, job_id: str) -> None:
        """Has a job that is not there yet cancelled when it is delivered."""
        await self._patiently(self._redis.set, self._keys.revoked(job_id), 1, ex=self._settings.failed_ttl_s)

    async def was_revoked(self, job_id: str) -> bool:
        return bool(await self._patiently(self._redis.exists, self._keys.revoked(job_id)))

    async def refuse(self, result: JobResult) -> None:
        """Answers a message that never became a job: its sender waits at Celery's backend, there is no record."""
        key, meta = keys.celery_key(result.job_id), keys.celery_meta(result)
        if await self._patiently(self._redis.set, key, meta, nx=True, ex=self._settings.failed_ttl_s):
            await self._patiently(self._redis.publish, key, meta)

    async def _stop(
        self, owner: str, record: JobRecord, failure: Failure, state: JobState = JobState.FAILED
    ) -> JobResult:
        result = record.stopped(state, failure, self.clock.moment())
        await self._end(owner, result, record.remains(self._endpoint(record.job)))
        return result

    async def _end(
        self,
        owner: str,
        result: JobResult,
        leftovers: Sequence[str],
        kept: KeptThread | None = None,
        remains: PromptJob | None = None,
    ) -> None:
        entry = kept.model_dump_json(exclude_none=True) if kept else ""
        transcript = kept.transcript.to_json() if kept and kept.transcript else ""
        args = keys.finish_args(owner, result, self._settings.lifetimes_s, leftovers, entry, remains, transcript)
        outcome, following = await self._step(self._finish, *args)
        if outcome not in ("finished", result.state):  # a repeat finds what its own first try did
            raise LeaseLost(result.job_id)
        if following:
            await self._send_next(following)

    async def _send_next(self, job_id: str) -> None:
        """The job whose turn it is now. Its message may be lost, as any other: the sweep sends it then."""
        try:
            await asyncio.to_thread(self._send, job_id)
        except Exception as error:  # the job that ended did so, whatever the queue says
            log.warning("next job of the thread not sent: the sweep will", job_id=job_id, reason=str(error))

    def _endpoint(self, job: PromptJob) -> str:
        """Where the job goes; '' if this worker does not know."""
        try:
            return self._settings.endpoint_name(job.endpoint)
        except SettingsError:
            return job.endpoint or ""

    async def claim_shared(self, batch: str, name: str, job_id: str, hold_s: float) -> str | Busy | None:
        """Returns the id of a remote object that the jobs of the batch share under this name.

        Busy: another job creates it. None: this job creates it, within `hold_s` seconds, then calls `add_shared` or
        `release_shared`.
        """
        verdict, *thing = await self._step(self._borrow, batch, name, job_id, hold_s)
        if verdict == "lent":
            lent = read(LeftoverRecord, thing[0], f"what the jobs of batch {batch} share")
            return lent.id if lent else None
        return None if verdict == "make" else Busy()

    async def add_shared(self, batch: str, name: str, leftover: LeftoverRecord) -> bool:
        """Shares an object with the batch, whose last job has it deleted.

        Returns False if there is another one already, or no job left: then the caller owns it and deletes it.
        """
        return bool(await self._step(self._lend, batch, name, leftover.model_dump_json()))

    async def release_shared(self, batch: str, name: str, job_id: str) -> None:
        """The job could not create it: another may try at once."""
        await self._step(self._give_back, batch, name, job_id)

    async def get(self, job_id: str) -> JobRecord | None:
        """The job as it stands, whoever holds it."""
        fields = await self._patiently(self._redis.hgetall, self._keys.record(job_id))
        return JobRecord.read(job_id, cast(dict[str, str], fields)) if fields else None

    async def assistant_of(self, endpoint: str, profile: str) -> str | None:
        """The id of the assistant that the profile was applied to there, if it was."""
        name = keys.applied_name(endpoint, profile)
        entry = await self._patiently(self._redis.hget, self._keys.assistants, name)
        applied = read(Applied, entry, f"what profile {profile} was applied to on {endpoint}") if entry else None
        return applied.id if applied else None

    async def kept_thread(self, endpoint: str, thread_id: str) -> KeptThread | None:
        """What is known of a thread that an earlier job left, its transcript included. Raises UnreadableThread."""
        name = keys.thread_name(endpoint, thread_id)
        entry = await self._patiently(self._redis.hget, self._keys.threads, name)
        if not entry:
            return None
        if (kept := read(KeptThread, entry, f"kept thread {name}")) is None:
            raise UnreadableThread(f"what is kept of thread {thread_id} is damaged or was written by a newer version")
        if not kept.is_chain:
            return kept
        text = await self._patiently(self._redis.get, self._keys.transcript(endpoint, thread_id))
        transcript = read(Transcript, text, f"the transcript of thread {thread_id}") if text else None
        return kept.model_copy(update={"transcript": transcript})

    async def result(self, job_id: str) -> dict[str, Any] | None:
        """The result of a job that has ended, as Celery's backend keeps it; None if there is none to be read."""
        stored = await self._patiently(self._redis.hget, self._keys.record(job_id), "result")
        result = read(JobResult, stored, f"the result of job {job_id}") if stored else None
        return result.model_dump(mode="json") if result else None

    async def may_sweep(self, for_s: float) -> bool:
        """Whether it is our turn; no other worker sweeps in the next `for_s` seconds."""
        return await take(self._redis, self._keys.sweep, self._name, for_s) is not None

    async def uptime_s(self) -> float:
        """How long Redis has been up; infinitely if it does not permit us to ask."""
        try:
            return float((await self._redis.info("server"))["uptime_in_seconds"])
        except NoPermissionError:
            return math.inf

    async def rescue(self) -> list[tuple[str, int]]:
        """Puts jobs whose lease has lapsed back to `queued`; gives their ids and how often that happened in a row.

        Does nothing unless it is our turn to sweep. Not repeated while Redis is away: when it is back, living workers
        must renew their leases first.
        """
        reply = await self._rescue(args=[self._prefix, self._name, _AT_ONCE])
        return [(job_id, int(lapses)) for job_id, lapses in zip(reply[::2], reply[1::2], strict=True)]

    async def long_queued(self, for_s: float) -> list[str]:
        return list(await self._step(self._long_queued, for_s))

    async def messages(self) -> AsyncIterator[str]:
        """The job ids of the messages on the queue; items that are no messages are left out."""
        start = 0
        while chunk := await self._redis.lrange(self._settings.queue, start, start + _AT_ONCE - 1):
            for message in chunk:
                try:
                    yield str(json.loads(message)["headers"]["id"])
                except (ValueError, LookupError, TypeError, RecursionError):
                    continue
            start += len(chunk)

    async def waiting(self) -> int:
        """How many messages are on the queue."""
        return int(await self._redis.llen(self._settings.queue))

    async def take_leftover(self) -> LeftoverRecord | None:
        """One that is due; no other worker is given it for a minute."""
        while taken := await self._step(self._take_leftover, _LEFTOVER_HELD_S):
            if leftover := read(LeftoverRecord, taken, "a leftover"):
                return leftover
            # Never due, so that it is not taken again.
            await self._patiently(self._redis.zadd, self._keys.leftovers, {taken: math.inf}, xx=True)
        return None

    async def drop_leftover(self, leftover: LeftoverRecord) -> None:
        """It is gone."""
        member = leftover.model_dump_json()
        async with self._redis.pipeline() as pipe:
            pipe.zrem(self._keys.leftovers, member)
            pipe.hdel(self._keys.leftover_tries, member)
            await pipe.execute()

    async def postpone_leftover(self, leftover: LeftoverRecord) -> bool:
        """It could not be deleted now; False if it is not tried again."""
        most, ttl_s = self._settings.cleanup_attempts, self._settings.failed_ttl_s
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
        oldest = self.clock.moment() - _WORKER_KEPT
        for name, announced in (await self._redis.hgetall(self._keys.workers)).items():
            card = read(Worker, str(announced), f"what worker {name!s} announces")
            if card and card.seen_at < oldest:
                await self._redis.hdel(self._keys.workers, name)

    async def publish(self, due: Mapping[str, Due]) -> dict[str, list[str]]:
        """Tells followers what is due of jobs, in one round trip; gives the ids of the entries, by job.

        Not repeated while Redis is away. Jobs of which Redis took in nothing are left out.
        """
        async with self._redis.pipeline(transaction=False) as pipe:
            for job_id, news in due.items():
                stream = self._keys.live(job_id)
                for entry in news.entries:
                    pipe.xadd(stream, cast(Any, entry), maxlen=_LIVE_ENTRIES, approximate=True)
                if news.superseded:
                    pipe.xdel(stream, *news.superseded)
                if news.is_first:  # FINISH sets it anew, but may come before this
                    pipe.expire(stream, self._settings.failed_ttl_s)
            replies = iter(await pipe.execute(raise_on_error=False))
        taken = {job_id: list(islice(replies, news.commands)) for job_id, news in due.items()}
        return {
            job_id: own[: len(due[job_id].entries)]
            for job_id, own in taken.items()
            if not any(isinstance(reply, Exception) for reply in own)
        }

    async def close(self) -> None:
        await self._redis.aclose()

    async def _step(self, script: AsyncScript, *args: Any) -> Any:
        return await self._patiently(script, args=[self._prefix, *args])

    async def _patiently(
        self, call: Callable[..., Awaitable[Any]], *args: Any, patience_s: float = math.inf, **kwargs: Any
    ) -> Any:
        """Repeats the call while Redis is away, for `patience_s` or what the settings allow, if that is less."""
        async for attempt in while_redis_is_away(min(patience_s, self._settings.redis_outage_tolerance_s)):
            with attempt:
                return await call(*args, **kwargs)
        raise AssertionError("tenacity ends by returning or raising")
