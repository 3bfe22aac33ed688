"""Jobs as the gateway shows them."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel

from threadmill.job.result import JobResult, JobState
from threadmill.store.records import JobRecord


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
    def of(cls, record: JobRecord) -> Self:
        job = record.job
        return cls(
            id=record.id,
            state=record.state,
            endpoint=record.endpoint,
            batch=job.batch,
            tenant=job.tenant,
            key=job.key,
            metadata=job.metadata,
            created_at=record.created_at,
            started_at=record.started_at,
            finished_at=record.finished_at,
            cancel_requested=record.cancel_requested,
            result=record.result,
        )
