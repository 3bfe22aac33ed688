"""Jobs, and what belongs to them, as the gateway shows them to a caller."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel

from threadmill.job.result import FailureKind, JobResult, JobState, ModelUsage
from threadmill.store.batch_records import BatchRecord
from threadmill.store.records import JobRecord
from threadmill_gateway.callers import Caller


class JobView(BaseModel):
    """A job: its state, and its result after it has ended."""

    id: str
    state: JobState
    endpoint: str | None
    batch: str | None
    tenant: str | None
    key: str | None  #: the idempotency key
    metadata: dict[str, str]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested: bool
    result: JobResult | None

    @classmethod
    def of(cls, record: JobRecord, caller: Caller) -> Self:
        job = record.job
        batch = caller.shown_batch(job.batch) if job.batch else None
        return cls(
            id=record.id,
            state=record.state,
            endpoint=record.endpoint,
            batch=batch,
            tenant=job.tenant,
            key=caller.shown_key(job.key),
            metadata=job.metadata,
            created_at=record.created_at,
            started_at=record.started_at,
            finished_at=record.finished_at,
            cancel_requested=record.cancel_requested,
            result=record.result and record.result.model_copy(update={"batch": batch}),
        )


class JobPageView(BaseModel):
    """A page of a list of jobs, the newest first. It may be short, or empty, although more pages follow."""

    data: list[JobView]
    next_cursor: str | None  #: `cursor` of the next page; null: this is the last one


class BatchView(BaseModel):
    """A batch: how many of its jobs are in each state, and what they have cost."""

    name: str
    changed_at: datetime
    total: int
    open: int  #: jobs that have not ended
    jobs: dict[JobState, int]
    paused: bool
    cancel_requested: bool
    concurrent: int | None
    failures: dict[FailureKind, int]
    usage_by_model: list[ModelUsage]

    @classmethod
    def of(cls, record: BatchRecord, name: str) -> Self:
        return cls(
            name=name,
            changed_at=record.changed_at,
            total=record.total,
            open=record.open,
            jobs=record.jobs,
            paused=record.paused,
            cancel_requested=record.cancel_requested,
            concurrent=record.concurrent,
            failures=record.failures,
            usage_by_model=list(record.usage_by_model),
        )
