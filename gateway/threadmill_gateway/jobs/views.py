"""Jobs and batches as the gateway shows them: with the names that their caller gave them."""

from datetime import datetime
from typing import Self
from urllib.parse import quote

from pydantic import BaseModel, Field

from threadmill.job.result import FailureKind, JobResult, JobState, Usage
from threadmill.store.records.batch import BatchRecord
from threadmill.store.records.job import JobRecord
from threadmill_gateway.requests.callers import Caller


class JobView(BaseModel):
    """A job: its state, and its result after it has ended."""

    id: str
    state: JobState
    endpoint: str | None
    batch: str | None
    tenant: str | None
    key: str | None = Field(description="The idempotency key.")
    metadata: dict[str, str]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested: bool
    waits_for: str | None = Field(default=None, description="What a queued job waits for, if the request asks for it.")
    result: JobResult | None
    links: dict[str, str] = Field(description="`self`, `events`, and `artifacts/NAME` for each file of the result.")

    @classmethod
    def of(cls, record: JobRecord, caller: Caller, root_path: str, waits_for: str | None = None) -> Self:
        job = record.job
        batch = caller.shown_batch(job.batch) if job.batch is not None else None
        here = f"{root_path}/v1/jobs/{record.id}"
        files = record.result.files if record.result else ()
        stored = (f"artifacts/{file.name}" for file in files if file.uri is not None)
        return cls(
            id=record.id,
            state=record.state,
            endpoint=record.endpoint,
            batch=batch,
            tenant=job.tenant,
            key=caller.shown_key(job.key) if job.key is not None else None,
            metadata=job.metadata,
            created_at=record.created_at,
            started_at=record.started_at,
            finished_at=record.finished_at,
            cancel_requested=record.cancel_requested,
            waits_for=waits_for,
            result=record.result.model_copy(update={"batch": batch}) if record.result else None,
            links={
                "self": here,
                "events": f"{here}/events",
                **{name: f"{here}/{quote(name)}" for name in stored},
            },
        )


class JobList(BaseModel):
    """A page of a list of jobs."""

    data: list[JobView]
    next_cursor: str | None = Field(description="`cursor` of the next page; null after the last page.")


class BatchView(BaseModel):
    """A batch: the number of its jobs in each state, and what they have spent."""

    name: str
    changed_at: datetime = Field(description="When one of its jobs last changed its state.")
    jobs: dict[JobState, int]
    open: int = Field(description="How many of its jobs have not ended.")
    paused: bool
    cancel_requested: bool
    concurrent: int | None = Field(description="The most of its jobs that run at a time; null: no limit.")
    calls: int = Field(description="HTTP calls made to the server.")
    usage: Usage
    failures: dict[FailureKind, int] = Field(description="The number of failed jobs by kind of failure.")

    @classmethod
    def of(cls, record: BatchRecord, caller: Caller) -> Self:
        return cls(
            name=caller.shown_batch(record.name),
            changed_at=record.changed_at,
            jobs=record.jobs,
            open=record.open,
            paused=record.paused,
            cancel_requested=record.cancel_requested,
            concurrent=record.concurrent,
            calls=record.calls,
            usage=record.usage,
            failures=record.failures,
        )


class BatchList(BaseModel):
    data: list[BatchView]
