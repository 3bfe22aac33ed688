"""The names of all Redis keys, for producers and workers. The scripts in scripts/ and lease.py change them.

PREFIX:job:ID          hash    the record: job, state, attempts, owner, progress, result, times
PREFIX:job:ID:events   stream  changes of its state; calls that wait for the job block on it
PREFIX:job:ID:live     stream  events while it runs, for its followers: job/events.py
PREFIX:job:ID:followed string  somebody follows it; expires soon unless renewed
PREFIX:revoked:ID      string  a Celery client revoked this task before it became a job; expires
PREFIX:jobs:STATE      zset    job ids by the time they changed to that state
PREFIX:key:KEY         string  idempotency key -> job id
PREFIX:leases          zset    running jobs by the time their lease expires
PREFIX:leftovers       zset    remote objects to delete, by the time of the next attempt (inf: given up)
PREFIX:leftovers:tries hash    failed attempts to delete each
PREFIX:sweep           string  lease of the sweep: the worker that holds it
PREFIX:batch:NAME      hash    a batch's counters: records.BatchRecord
PREFIX:batch:NAME:jobs zset    its job ids;  PREFIX:batch:NAME:done  stream, its finished jobs
PREFIX:batch:NAME:shared hash  remote objects that its jobs share, or the job that makes one now, as JSON; until its end
PREFIX:batch:NAME:seen_to      string, a command enqueues its documents or waits for them; expires unless renewed
PREFIX:batches         zset    names of batches by the time a job last changed its state
PREFIX:turns:ENDPOINT/THREAD   zset, the open jobs on a thread in the order of their turns
PREFIX:threads         hash    kept threads as JSON, by ENDPOINT/THREAD; they never expire
PREFIX:transcript:ENDPOINT/THREAD   string, the items of a kept chain of responses as JSON; deleted with the thread
PREFIX:assistants      hash    assistants of applied profiles as JSON, by ENDPOINT/PROFILE; they never expire
PREFIX:lanes           set     ENDPOINT/MODEL of the batch lanes in which jobs wait
PREFIX:lane:ENDPOINT/MODEL     zset, these jobs by the time they entered
PREFIX:lane_deadlines  zset    jobs in the batch lane by the time they fail as overdue
PREFIX:remote_batches  hash    unfinished remote batches as JSON, by name
PREFIX:remote_batch:NAME       set, its job ids;  PREFIX:remote_batch:NAME:held  string, its lease
PREFIX:dead_letters    list    dead letters as JSON, the newest first; they expire
PREFIX:dead_letters:count      string, their number, including those no longer kept
PREFIX:workers         hash    what each live worker announces, as JSON
PREFIX:reports         hash    name of a report -> since when it is scheduled
PREFIX:reports:NAME    hash    its nights as JSON, by date
PREFIX:reports:NAME:DATE:held  string, the lease of that night; expires unless renewed
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from threadmill.job.prompt import PromptJob
from threadmill.job.result import JobResult, JobState
from threadmill.store.batch_records import BatchRecord
from threadmill.store.records import packed


@dataclass(frozen=True)
class Keys:
    """The names of the keys under one prefix."""

    prefix: str

    def record(self, job_id: str) -> str:
        return f"{self.prefix}:job:{job_id}"

    def events(self, job_id: str) -> str:
        return f"{self.prefix}:job:{job_id}:events"

    def live(self, job_id: str) -> str:
        return f"{self.prefix}:job:{job_id}:live"

    def followed(self, job_id: str) -> str:
        return f"{self.prefix}:job:{job_id}:followed"

    def revoked(self, task_id: str) -> str:
        return f"{self.prefix}:revoked:{task_id}"

    def jobs(self, state: JobState) -> str:
        return f"{self.prefix}:jobs:{state}"

    @property
    def batches(self) -> str:
        return f"{self.prefix}:batches"

    def batch(self, name: str) -> str:
        return f"{self.prefix}:batch:{name}"

    def batch_jobs(self, name: str) -> str:
        return f"{self.prefix}:batch:{name}:jobs"

    def batch_done(self, name: str) -> str:
        return f"{self.prefix}:batch:{name}:done"

    def batch_seen_to(self, name: str) -> str:
        return f"{self.prefix}:batch:{name}:seen_to"

    @property
    def threads(self) -> str:
        return f"{self.prefix}:threads"

    def transcript(self, endpoint: str, thread_id: str) -> str:
        return f"{self.prefix}:transcript:{thread_name(endpoint, thread_id)}"

    @property
    def assistants(self) -> str:
        return f"{self.prefix}:assistants"

    @property
    def lanes(self) -> str:
        return f"{self.prefix}:lanes"

    @property
    def remote_batches(self) -> str:
        return f"{self.prefix}:remote_batches"

    def remote_batch(self, name: str) -> str:
        return f"{self.prefix}:remote_batch:{name}"

    def remote_batch_held(self, name: str) -> str:
        return f"{self.prefix}:remote_batch:{name}:held"

    @property
    def leftovers(self) -> str:
        return f"{self.prefix}:leftovers"

    @property
    def leftover_tries(self) -> str:
        return f"{self.prefix}:leftovers:tries"

    @property
    def sweep(self) -> str:
        return f"{self.prefix}:sweep"

    @property
    def dead_letters(self) -> str:
        return f"{self.prefix}:dead_letters"

    @property
    def dead_letters_count(self) -> str:
        return f"{self.prefix}:dead_letters:count"

    @property
    def workers(self) -> str:
        return f"{self.prefix}:workers"

    @property
    def reports(self) -> str:
        return f"{self.prefix}:reports"

    def report(self, name: str) -> str:
        return f"{self.prefix}:reports:{name}"

    def report_held(self, name: str, night: str) -> str:
        return f"{self.prefix}:reports:{name}:{night}:held"


def celery_key(job_id: str) -> str:
    """Returns the key, and channel, of a task's result in Celery's Redis backend."""
    return f"celery-task-meta-{job_id}"


def celery_meta(result: JobResult) -> str:
    """Encodes a result as Celery's Redis backend does."""
    body = result.model_dump(mode="json")
    meta = {
        "status": "SUCCESS",  # of the task; the result says whether the job succeeded
        "result": body,
        "traceback": None,
        "children": [],
        "date_done": body["timings"]["finished_at"],
        "task_id": result.job_id,
    }
    return json.dumps(meta, ensure_ascii=False)


def thread_name(endpoint: str, thread_id: str) -> str:
    """Returns the name of a thread that is unique across endpoints; its jobs take turns under this name."""
    return f"{endpoint}/{thread_id}"


def applied_name(endpoint: str, profile: str) -> str:
    """Returns the name of an applied profile that is unique across endpoints. Names of profiles have no slash."""
    return f"{endpoint}/{profile}"


def create_args(job_id: str, job: PromptJob, endpoint: str) -> list[str]:
    """Returns CREATE's arguments after the prefix. `endpoint` is the job's, or the default one."""
    turn = thread_name(endpoint, job.thread) if job.thread else ""
    return [job_id, packed(job), job.digest, job.key or "", job.batch or "", turn]


def finish_args(
    owner: str,
    result: JobResult,
    lifetimes_s: tuple[int, int],
    leftovers: Sequence[str] = (),
    kept: str = "",
    remains: PromptJob | None = None,
    transcript: str = "",
) -> list[str | int]:
    """Returns FINISH's arguments after the prefix, including what Celery's `AsyncResult(job_id)` reads.

    `lifetimes_s`: how long a succeeded and any other job is kept. `remains`: the job to keep in the record; default:
    the whole job.
    """
    return [
        result.job_id,
        owner,
        result.state,
        json.dumps(result.model_dump(mode="json"), ensure_ascii=False),
        lifetimes_s[0 if result.ok else 1],
        max(lifetimes_s),
        celery_key(result.job_id),
        celery_meta(result),
        kept,
        json.dumps({field: str(number) for field, number in BatchRecord.counts(result).items()}),
        packed(remains) if remains else "",
        transcript,
        *leftovers,
    ]
