"""The worker's operations on jobs: claim, renew, save, hand back, finish.

Every step on a job is one script (threadmill/store/scripts.py) and is repeated while Redis is away.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from types import MappingProxyType
from typing import Any, cast

import redis.asyncio
import structlog

from threadmill.errors import SettingsError
from threadmill.job.prompt import PromptJob
from threadmill.job.result import Failure, JobResult, JobState
from threadmill.settings.settings import Settings
from threadmill.store import keys, requests
from threadmill.store.lease import LeaseLost as LeaseLost  # of a job: somebody else has claimed it, or it has ended
from threadmill.store.records import JobRecord, newer_format, packed
from threadmill.store.remote_records import KeptThread, LeftoverRecord
from threadmill.stored import read
from threadmill_worker.lifecycle.progress import Leftover, Progress
from threadmill_worker.store.remote import RemoteStore
from threadmill_worker.store.workers import WorkerStore

log = structlog.get_logger(__name__)

#: Jobs rescued in one step.
_AT_ONCE = 500

_HAND_BACK_PATIENCE_S = 3.0


class NoSuchJob(Exception):
    """There is no record of this id."""


@dataclass(frozen=True)
class Lease:
    """One claim of a job. The next claim has another lease, even in the same process."""

    job_id: str
    owner: str  #: the worker's name and the number of the claim


class JobStore(RemoteStore, WorkerStore):
    """The records as one worker process sees them; `name` is the worker's.

    `send(job_id)` puts a message on the queue; it is called in a thread.
    """

    def __init__(self, settings: Settings, name: str, send: Callable[[str], None]) -> None:
        super().__init__(settings, name)
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

    async def get(self, job_id: str) -> JobRecord | None:
        """Returns the record, whoever owns the job; None if there is none. Raises UnreadableRecord."""
        fields = await self._with_retries(self._redis.hgetall, self._keys.record(job_id))
        return JobRecord.read(job_id, cast(dict[str, str], fields)) if fields else None

    async def result(self, job_id: str) -> dict[str, Any] | None:
        """Returns the result of an ended job as Celery's backend stores it; None if it is missing or unreadable."""
        stored = await self._with_retries(self._redis.hget, self._keys.record(job_id), "result")
        result = read(JobResult, stored, f"the result of job {job_id}") if stored else None
        return result.model_dump(mode="json") if result else None

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


def _pairs(values: Sequence[str]) -> Iterator[tuple[str, str]]:
    return zip(values[::2], values[1::2], strict=True)


def _ensure_owned(lease: Lease, reply: Sequence[str]) -> None:
    """Raises LeaseLost if a script replied so."""
    if reply[0] == "lost":
        raise LeaseLost(lease.job_id)
