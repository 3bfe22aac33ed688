"""Creates, cancels, redrives and deletes jobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from typing import Any

from threadmill.errors import JobNotEnded, JobNotFound, StoreUnavailable, UnreadableRecord
from threadmill.job.prompt import PromptJob
from threadmill.job.result import CANCELLED_WHILE_QUEUED, JobResult, JobState
from threadmill.settings.pools import pools_of
from threadmill.store import requests
from threadmill.store.connection import chunks, unavailable
from threadmill.store.jobs.reads import NO_HASH, JobReader, check_id
from threadmill.store.jobs.remote import RemoteStore
from threadmill.store.jobs.uploads import UploadStore
from threadmill.store.keys import celery_key
from threadmill.store.records.job import JobRecord
from threadmill.tracing.spans import TraceContext


@dataclass(frozen=True)
class Created:
    """A job that `jobs/create` found or created."""

    job_id: str
    state: JobState
    digest: str
    is_new: bool


class ChangeStore(JobReader, RemoteStore, UploadStore):
    """Changes jobs. Each change is one script, which moves the job in all lists at the same time."""

    def create(
        self, jobs: Sequence[tuple[str, PromptJob]], trace: TraceContext | None = None
    ) -> list[Created | StoreUnavailable]:
        """Creates records for validated jobs in one round trip. A known idempotency key returns its job.

        `trace`: the context that the workers continue. On endpoints with several keys, the key of each thread and
        profile that the jobs name is read before. Returns for each job what was created, or the error after which it
        may or may not exist.
        """
        try:
            pools, ttl_s = self._pools_of([job for _, job in jobs]), self._settings.thread_ttl_s
            self._use_uploads(jobs)
            with self._translate_errors(), self._redis.pipeline(transaction=False) as pipe:
                for (job_id, job), usable in zip(jobs, pools, strict=True):
                    request = requests.create(job_id, job, job.endpoint or "", usable, ttl_s, trace=trace)
                    self._scripts.run("jobs/create", request, pipe)
                replies = pipe.execute(raise_on_error=False)
        except StoreUnavailable as error:
            return [error] * len(jobs)
        return [self._created(reply) for reply in replies]

    def _pools_of(self, jobs: Sequence[PromptJob]) -> list[tuple[str, ...]]:
        """Returns the pools that each job may use. A job on a thread or an assistant has to use the key of that."""
        key_of = cache(self.key_of)

        def pools(job: PromptJob) -> tuple[str, ...]:
            name = self._settings.endpoint_name(job.endpoint)
            has_keys = self._settings.endpoints[name].first_key is not None
            return pools_of(self._settings, job, key_of(name, job.thread, job.profile) if has_keys else None)

        return [pools(job) for job in jobs]

    def _created(self, reply: Any) -> Created | StoreUnavailable:
        if isinstance(reply, Exception):
            return unavailable(self._settings.redis_url, reply)
        outcome, job_id, state, digest = reply
        return Created(job_id, _state(job_id, state), digest, outcome == "created")

    def cancel(self, job_id: str) -> JobState:
        """Ends a queued job, or requests the cancellation of a running one. Returns the job's state now."""
        request = self._request_to_cancel(job_id, self.fields(job_id), self.now())
        [state] = self._run("jobs/finish", **request)
        if state == "finished":
            state = JobState.CANCELLED
        else:
            [state] = self._run("jobs/request_cancel", id=job_id)
        if state == "missing":
            raise JobNotFound(job_id)
        return _state(job_id, state)

    def cancel_many(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        """Cancels jobs, a few hundred per round trip. Returns the states now of the jobs that are kept."""
        states = dict.fromkeys(self.withdraw_many(job_ids), JobState.CANCELLED)
        for ids in chunks([job_id for job_id in job_ids if job_id not in states]):
            with self._translate_errors(), self._redis.pipeline(transaction=False) as pipe:
                for job_id in ids:
                    self._scripts.run("jobs/request_cancel", {"id": job_id}, pipe)
                found = zip(ids, pipe.execute(), strict=True)
            states |= {job_id: _state(job_id, state) for job_id, [state] in found if state != "missing"}
        return states

    def withdraw_many(self, job_ids: Sequence[str]) -> list[str]:
        """Cancels queued jobs only, a few hundred per round trip. Returns the ids of the cancelled jobs."""
        withdrawn: list[str] = []
        for ids in chunks(job_ids):
            now = self.now()
            hashes = dict(zip(ids, self.with_retries(partial(self._hashes, ids)), strict=True))
            kept = [job_id for job_id in ids if hashes[job_id] and hashes[job_id] is not NO_HASH]
            with self._translate_errors(), self._redis.pipeline(transaction=False) as pipe:
                for job_id in kept:
                    self._scripts.run("jobs/finish", self._request_to_cancel(job_id, hashes[job_id], now), pipe)
                replies = pipe.execute()
            withdrawn += [job_id for job_id, [outcome] in zip(kept, replies, strict=True) if outcome == "finished"]
        return withdrawn

    def _request_to_cancel(self, job_id: str, fields: dict[str, str], now: datetime) -> dict[str, Any]:
        """Returns the request that cancels a queued job, whose record need not be readable."""
        leftovers: list[str] = []
        sender = fields.get("sender", "")
        try:
            record = JobRecord.read(job_id, fields)
            result = record.stopped(JobState.CANCELLED, CANCELLED_WHILE_QUEUED, now)
            leftovers = record.remains(record.endpoint or "")
        except UnreadableRecord:
            result = JobResult.without_record(job_id, JobState.CANCELLED, CANCELLED_WHILE_QUEUED, now)
        return requests.finish(None, result, sender, self._settings, leftovers)

    def redrive(self, job_id: str) -> JobState:
        """Enqueues a failed or cancelled job again. Returns its state now. Raises JobNotFound, UnreadableRecord."""
        self.get(job_id)
        [state] = self._run("jobs/redrive", id=job_id, celery_key=celery_key(job_id))
        if state == "missing":
            raise JobNotFound(job_id)
        return _state(job_id, state)

    def redrive_many(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        """Enqueues failed or cancelled jobs again, a few hundred per round trip. Returns their states now.

        Unreadable jobs are left out.
        """
        states: dict[str, JobState] = {}
        for ids in chunks(job_ids):
            readable = [record.id for record in self.get_many(ids)]
            with self._translate_errors(), self._redis.pipeline(transaction=False) as pipe:
                for job_id in readable:
                    self._scripts.run("jobs/redrive", {"id": job_id, "celery_key": celery_key(job_id)}, pipe)
                found = zip(readable, pipe.execute(), strict=True)
            states |= {job_id: _state(job_id, state) for job_id, [state] in found if state != "missing"}
        return states

    def delete(self, job_id: str) -> None:
        """Deletes the record of a job that has ended. Raises JobNotFound, JobNotEnded."""
        check_id(job_id)
        [outcome] = self._run("jobs/delete", id=job_id)
        if outcome == "missing":
            raise JobNotFound(job_id)
        if outcome != "deleted":
            raise JobNotEnded(job_id, outcome)


def _state(job_id: str, stored: str) -> JobState:
    """Raises UnreadableRecord."""
    try:
        return JobState(stored)
    except ValueError:
        raise UnreadableRecord(job_id, "state", "enum") from None
