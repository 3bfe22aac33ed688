"""The name of every Redis key, in one place for both sides. What changes them: scripts/jobs.py, scripts/remote.py,
scripts/lanes.py, lease.py.

PREFIX:job:ID          hash    the record: job, state, attempts, owner, progress, result, moments
PREFIX:job:ID:events   stream  its changes of state; waiters block on it
PREFIX:job:ID:live     stream  what happens while it runs, for its followers: job/events.py
PREFIX:job:ID:followed string  somebody follows it; lapses soon unless renewed
PREFIX:revoked:ID      string  a Celery client revoked this task before it became a job; lapses
PREFIX:jobs:STATE      zset    job ids by the moment they came into that state
PREFIX:key:KEY         string  idempotency key -> job id
PREFIX:leases          zset    running jobs by the moment their lease lapses
PREFIX:leftovers       zset    remote things still to delete, by the moment to try next (inf: given up)
PREFIX:leftovers:tries hash    how often each was tried in vain
PREFIX:sweep           string  the worker that sweeps now
PREFIX:batch:NAME      hash    a batch's counters: record.BatchRecord
PREFIX:batch:NAME:jobs zset    its job ids;  PREFIX:batch:NAME:done  stream, its finished jobs
PREFIX:batch:NAME:shared hash  remote things its jobs share, or who makes one now, as JSON; gone with its last job
PREFIX:batch:NAME:seen_to      string, some process enqueues its documents or awaits them; lapses soon unless renewed
PREFIX:batches         zset    names of batches by the moment one of their jobs changed its state
PREFIX:turns:ENDPOINT/THREAD   zset, the open jobs on a thread in the order of their turns
PREFIX:threads         hash    kept threads as JSON, by ENDPOINT/THREAD; they never lapse
PREFIX:transcript:ENDPOINT/THREAD   string, the items of a kept chain of responses as JSON; it goes with its thread
PREFIX:assistants      hash    what profiles were applied to, as JSON, by ENDPOINT/PROFILE; they never lapse
PREFIX:lanes           set     ENDPOINT/MODEL of which jobs wait for a remote batch
PREFIX:lane:ENDPOINT/MODEL     zset, these jobs by the moment they came
PREFIX:lane_deadlines  zset    jobs in the batch lane by the moment when they fail as overdue
PREFIX:remote_batches  hash    remote batches under way as JSON, by name
PREFIX:remote_batch:NAME       set, its job ids;  PREFIX:remote_batch:NAME:held  string, the worker that sees to it now
PREFIX:dead_letters    list    messages that no worker could deliver, the newest first, as JSON; they lapse
PREFIX:dead_letters:count      string, how many there have been, also before those that are kept
PREFIX:workers         hash    what each live worker can do, as JSON
PREFIX:reports         hash    names of reports -> since when each owes its nights
PREFIX:reports:NAME    hash    its nights as JSON, by date
PREFIX:reports:NAME:DATE:held  string, who makes that night now; lapses unless renewed
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from threadmill.job.prompt import PromptJob
from threadmill.job.result import JobResult, JobState
from threadmill.store.records import BatchRecord, packed


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
    """Where Celery's Redis backend keeps and announces a task's result."""
    return f"celery-task-meta-{job_id}"


def celery_meta(result: JobResult) -> str:
    """A result as Celery's Redis backend keeps it."""
    body = result.model_dump(mode="json")
    meta = {
        "status": "SUCCESS",  # the task did its work; whether the job succeeded stands in the result
        "result": body,
        "traceback": None,
        "children": [],
        "date_done": body["timings"]["finished_at"],
        "task_id": result.job_id,
    }
    return json.dumps(meta, ensure_ascii=False)


def thread_name(endpoint: str, thread_id: str) -> str:
    """What a thread is called among those of all endpoints; its jobs take turns under this name."""
    return f"{endpoint}/{thread_id}"


def applied_name(endpoint: str, profile: str) -> str:
    """What a profile's assistant is called among those of all endpoints. No profile's name has a slash."""
    return f"{endpoint}/{profile}"


def create_args(job_id: str, job: PromptJob, endpoint: str) -> list[str]:
    """CREATE's arguments after the prefix. `endpoint`: where the job goes, though it may name none."""
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
    """FINISH's arguments after the prefix: the record and what `AsyncResult(job_id)` reads change in one step.

    `lifetimes_s`: of a job that succeeded, and of any other. `remains`: what the record keeps of the job; default: all.
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
