"""The worker's operations on jobs: claim, renew, save, hand back, finish.

Every step on a job is one script (threadmill/store/scripts.py) and is repeated while Redis is away.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from types import MappingProxyType
from typing import Any, cast

import redis.asyncio

from threadmill.errors import SettingsError
from threadmill.job.prompt import PromptJob
from threadmill.job.result import Failure, JobResult, JobState
from threadmill.settings.pools import pools_of
from threadmill.settings.settings import Settings
from threadmill.store import keys, requests
from threadmill.store.lease import LeaseLost as LeaseLost  # of a job: somebody else has claimed it, or it has ended
from threadmill.store.records.job import JobRecord, Move, Sender, newer_format
from threadmill.store.records.packing import pack, pack_job, unpack_result
from threadmill.store.records.remote import KeptThread, LeftoverRecord
from threadmill.stored import fault, leave_out
from threadmill.tracing.spans import TraceContext
from threadmill_worker.lifecycle.progress import Progress
from threadmill_worker.store.queue import QueueStore, pairs
from threadmill_worker.store.remote import RemoteStore

_HAND_BACK_PATIENCE_S = 3.0


class NoSuchJob(Exception):
    """There is no record of this id."""


@dataclass(frozen=True)
class Lease:
    """One claim of a job. The next claim has another lease, even in the same process."""

    job_id: str
    owner: str  #: the worker's name and the number of the claim


@dataclass(frozen=True)
class Postponed:
    """A pool lets a call wait for its limits."""

    until: float  #: when to ask again, in seconds since 1970
    reason: str
    ticket: str  #: the call's place in the pool's row, to ask again with; '': it has none
    is_shut: bool = False  #: the server refuses calls until then


@dataclass(frozen=True)
class LeftPool:
    """How a job leaves its pool."""

    pool: str | None = None  #: None: the job stays in its pool, because it has a run
    tokens_used: int | None = None  #: None: not known
    news: Sequence[Mapping[str, Any]] = ()  #: what the last replies said about the pool's limits


@dataclass(frozen=True)
class AwaitedRun:
    """The run whose end a job awaits, and a webhook may tell."""

    endpoint: str
    run: str  #: its id
    ttl_s: int  #: how long the job may await it


class JobStore(RemoteStore, QueueStore):
    """The records as one worker process sees them; `name` is the worker's."""

    def __init__(self, settings: Settings, name: str) -> None:
        super().__init__(settings, name)
        self._claims = count(1)

    @property
    def redis(self) -> redis.asyncio.Redis:
        """The client, for other operations on the same records."""
        return self._redis

    async def create(self, job_id: str, job: PromptJob, trace: TraceContext | None = None) -> None:
        """Creates the record of a job that another Celery client sent, unless it exists. `trace`: of its message."""
        try:
            pools = pools_of(self._settings, job)
        except SettingsError:  # another worker may know the endpoint
            pools = ()
        endpoint, ttl_s = self._endpoint(job.endpoint), self._settings.thread_ttl_s
        request = requests.create(job_id, job, endpoint, pools, ttl_s, Sender.CELERY, trace)
        await self._run("jobs/create", **request, is_delivered=True)

    def lease(self, job_id: str) -> Lease:
        """Returns a lease to claim the job with."""
        return Lease(job_id, f"{self._name}:{next(self._claims)}")

    async def read_clock(self) -> None:
        """Waits until `clock` shows Redis' time."""
        await self._with_retries(self.clock.ready)

    async def claim(self, lease: Lease, trace: TraceContext | None = None) -> JobRecord | None:
        """Claims a job and returns its record. The lease can be renewed until another worker claims the job.

        `trace`: the context that the record gets if it has none.

        Returns None if the job has ended, another worker holds it, or it waits for its turn on its thread; it is
        dispatched when its wait has ended. Raises NoSuchJob, UnreadableRecord for a job that this worker now holds,
        and NewerRecord for a job that is left to a newer worker.
        """
        await self.read_clock()  # the deadline of the job is Redis' time
        outcome, *values = await self._run(
            "jobs/claim",
            id=lease.job_id,
            owner=lease.owner,
            lease_s=self._settings.lease_s,
            **(trace._asdict() if trace else {}),
        )
        if outcome == "missing":
            raise NoSuchJob(lease.job_id)
        if outcome == "newer":
            raise newer_format(lease.job_id, int(values[0]))
        if outcome != "claimed":
            return None
        record = JobRecord.read(lease.job_id, dict(pairs(values)))
        if record.progress:
            unknown = record.unknown + Progress.unknown_fields(record.progress)
            record = record.model_copy(update={"unknown": unknown})
        if record.newer:
            await self.hand_back(lease, is_postponed=True)
            raise record.newer
        return record

    async def renew(
        self, leases: Iterable[Lease], calls: Mapping[str, int] = MappingProxyType({}), free_slots: int | None = None
    ) -> dict[str, str]:
        """Renews leases in one step. Returns a signal for some jobs: `lost`, `cancel` or `followed`.

        `calls`: the number of HTTP calls made so far, by job id. `free_slots`: how many more jobs this worker can run;
        None: it takes none.
        """
        held = [{"id": lease.job_id, "owner": lease.owner} for lease in leases]
        jobs = [job | {"calls": calls[job["id"]]} if job["id"] in calls else job for job in held]
        worker = {} if free_slots is None else {"worker": self._name, "free": free_slots}
        request = {"lease_s": self._settings.lease_s, "jobs": jobs, **worker}
        _, left, *news = await self._scripts.run("jobs/renew", request)
        await self.dispatch(left)
        return dict(pairs(news))

    async def save(
        self,
        lease: Lease,
        progress: Progress,
        start: Mapping[str, Any] | None = None,
        news: Sequence[Mapping[str, Any]] = (),
        awaited: AwaitedRun | None = None,
        timeline: str | None = None,
    ) -> Postponed | None:
        """Saves the progress, with news about limits and the run that the job awaits. Raises LeaseLost.

        `start`: what the next call takes from its pool. If the call must wait, nothing but the news is saved.
        `timeline`: as JSON, if it has changed.
        """
        request = {"id": lease.job_id, "owner": lease.owner, "progress": progress.to_json(), "start": start}
        request["awaited"] = asdict(awaited) if awaited else None
        reply = await self._run("jobs/save", **request, news=news or None, timeline=timeline)
        _ensure_owned(lease, reply)
        if reply[0] != "limited":
            return None
        _, delay_s, reason, ticket, is_shut = reply
        return Postponed(self.clock.now() + float(delay_s), reason, ticket, is_shut=bool(is_shut))

    async def count_interruption(self, lease: Lease) -> int:
        """Counts that the job's own process has died; returns how often in a row. Raises LeaseLost."""
        reply = await self._run("jobs/count_interruption", id=lease.job_id, owner=lease.owner)
        _ensure_owned(lease, reply)
        return int(reply[1])

    async def hand_back(
        self, lease: Lease, calls: int | None = None, left: LeftPool | None = None, *, is_postponed: bool = False
    ) -> bool:
        """Returns the job to the queue; this does not count as an attempt. Returns False if the lease was lost.

        `calls`: HTTP calls made for it so far. `left`: how it leaves its pool. `is_postponed`: only a newer worker can
        run it. Raises RedisError after a few seconds: a process that exits does not wait for Redis, and its leases
        expire.
        """
        request = {"id": lease.job_id, "owner": lease.owner, "calls": calls, "is_postponed": is_postponed}
        request |= _left(left)
        reply = await self._with_retries(
            self._script_calls.run, "jobs/hand_back", request, patience_s=_HAND_BACK_PATIENCE_S
        )
        return bool(reply == ["queued"])

    async def move(
        self,
        lease: Lease,
        moves: Sequence[Move],
        calls: int,
        leftovers: Sequence[LeftoverRecord],
        left: LeftPool | None = None,
        timeline: str | None = None,
    ) -> None:
        """Returns the job to the queue, for another endpoint. Raises LeaseLost.

        `moves`: all endpoints that it has left. `calls`: HTTP calls made for it so far. `timeline`: as JSON.
        """
        reply = await self._run(
            "jobs/move",
            id=lease.job_id,
            owner=lease.owner,
            moves=json.dumps([move.model_dump() for move in moves]),
            calls=calls,
            leftovers=[each.to_json() for each in leftovers],
            timeline=timeline,
            **_left(left),
        )
        _ensure_owned(lease, reply)

    async def finish(
        self,
        lease: Lease,
        result: JobResult,
        leftovers: Iterable[LeftoverRecord],
        kept: KeptThread | None = None,
        remains: PromptJob | None = None,
        left: LeftPool | None = None,
        sender: str = "",
        timeline: str | None = None,
    ) -> None:
        """Ends a claimed job: record, counters, Celery's copy and waiters in one step. Raises LeaseLost.

        `kept`: the kept thread, as of this job alone; it is merged with the stored entry, and the leftovers stay with
        it. With `jobs=0` it is a foreign thread, which is only updated if it is stored. `remains`: the job that the
        record keeps; default: the whole job. `sender`: as in the record; default: the record is unreadable.
        `timeline`: as JSON; default: the saved one.
        """
        remote = [each.to_json() for each in leftovers]
        await self._end(lease.owner, result, sender, remote, kept, remains, left, timeline)

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
        await self._end(None, result)
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
        left = LeftPool(record.pool, None if result.runs else 0) if owner else None
        remote = record.remains(self._endpoint(record.endpoint))
        await self._end(owner, result, record.sender, remote, left=left)
        return result

    async def _end(
        self,
        owner: str | None,
        result: JobResult,
        sender: str = "",
        leftovers: Sequence[str] = (),
        kept: KeptThread | None = None,
        remains: PromptJob | None = None,
        left: LeftPool | None = None,
        timeline: str | None = None,
    ) -> None:
        request = requests.finish(
            owner,
            result,
            sender,
            self._settings,
            leftovers,
            stored_job=pack_job(remains) if remains else None,
            kept_thread=kept.model_dump_json(exclude_none=True) if kept else None,
            timeline=pack(timeline) if timeline else None,
            transcript=kept.transcript_json if kept else None,
            **_left(left),
        )
        [outcome] = await self._run("jobs/finish", **request)
        if outcome not in ("finished", result.state):  # a repeat finds what its own first try did
            raise LeaseLost(result.job_id)

    def _endpoint(self, name: str | None) -> str:
        """Returns this endpoint, or the default one; '' if this worker knows neither."""
        try:
            return self._settings.endpoint_name(name)
        except SettingsError:
            return name or ""

    async def get(self, job_id: str) -> JobRecord | None:
        """Returns the record, whoever owns the job; None if there is none. Raises UnreadableRecord."""
        fields = await self._with_retries(self._redis.hgetall, self._keys.record(job_id))
        return JobRecord.read(job_id, cast(dict[str, str], fields)) if fields else None

    async def result(self, job_id: str) -> JobResult | None:
        """Returns the result of an ended job; None if it is missing or unreadable."""
        stored = await self._with_retries(self._redis.hget, self._keys.record(job_id), "result")
        try:
            return unpack_result(stored) if stored else None
        except ValueError as error:
            leave_out(f"the result of job {job_id}", *fault(error))
            return None


def _left(left: LeftPool | None) -> dict[str, Any]:
    """Returns the fields of a request that say how a job leaves its pool."""
    return {} if left is None else {"pool": left.pool, "tokens_used": left.tokens_used, "news": left.news or None}


def _ensure_owned(lease: Lease, reply: Sequence[str]) -> None:
    """Raises LeaseLost if a script replied so."""
    if reply[0] == "lost":
        raise LeaseLost(lease.job_id)
