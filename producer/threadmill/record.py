"""What is kept in Redis: of jobs, of workers, and of remote things still to be deleted."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from threadmill.job import PromptJob
from threadmill.result import Failure, JobResult, JobState, Timings


class JobRecord(BaseModel):
    """A job as it stands in Redis; the fields of its hash, and its id."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    state: JobState
    job: PromptJob
    attempts: int = 0
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    owner: str | None = None  #: the worker that holds the lease
    cancel_requested: bool = False
    parked: str | None = None  #: the remote batch it waits in, '-' before there is one; None: it waits in none
    progress: str | None = None  #: the worker's saved place, its own JSON
    result: JobResult | None = None
    history: tuple[JobResult, ...] = ()  #: results it had before it was sent again, oldest first

    def ended(self, state: JobState, failure: Failure | None, at: datetime, **more: Any) -> JobResult:
        """The result of this job, ended at a moment; `more` are further fields of JobResult."""
        return JobResult(
            job_id=self.id,
            state=state,
            failure=failure,
            attempts=self.attempts,
            timings=Timings(
                created_at=self.created_at,
                started_at=self.started_at,
                finished_at=max(at, self.started_at or at),  # the clocks of two machines
            ),
            metadata=self.job.metadata,
            batch=self.job.batch,
            **more,
        )

    @classmethod
    def read(cls, job_id: str, fields: Mapping[str, str]) -> Self:
        """A record from its hash."""
        result = fields.get("result")
        return cls.model_validate(
            {
                **fields,
                "id": job_id,
                "job": PromptJob.read(fields["job"]),
                "result": JobResult.model_validate_json(result) if result else None,
                "history": [JobResult.model_validate_json(line) for line in fields.get("history", "").splitlines()],
                "cancel_requested": "cancel_requested" in fields,
            }
        )


class LeftoverRecord(BaseModel):
    """A remote thing that outlived its job, still to be deleted."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    endpoint: str
    kind: str  #: "thread", "file" or "vector_store"
    id: str


class KeptThread(BaseModel):
    """A remote thread that lives on for later jobs, until someone deletes it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    endpoint: str
    id: str
    job_id: str  #: the last job on it
    created_at: datetime  #: when it was first kept
    used_at: datetime  #: the end of its last job
    jobs: int = 1  #: how many ended on it
    assistant: str | None = None
    latest: str | None = None  #: where the server has no conversations: the response that the next job goes on from
    things: dict[str, str] = {}  #: what is deleted with it: id -> kind, "file" or "vector_store"

    @property
    def leftovers(self) -> tuple[LeftoverRecord, ...]:
        """What is to be deleted of it: the thread, and its things."""
        things = [("thread", self.id), *((kind, id) for id, kind in self.things.items())]
        return tuple(LeftoverRecord(endpoint=self.endpoint, kind=kind, id=id) for kind, id in things)


class BatchRecord(BaseModel):
    """A batch: how many of its jobs are in each state."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    changed_at: datetime  #: when one of its jobs last changed its state
    jobs: dict[JobState, int]

    @property
    def total(self) -> int:
        return sum(self.jobs.values())


class RemoteBatch(BaseModel):
    """Jobs that the provider works through together, at a lower price: how far that is."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str  #: ours
    endpoint: str
    made_at: datetime
    sending: bool = False  #: a call that makes something of it was begun: look for that thing before it is repeated
    file_id: str | None = None  #: its requests, once uploaded
    batch_id: str | None = None  #: the provider's name of it, once it is there


class Applied(BaseModel):
    """The remote assistant that a profile was applied to."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    applied_at: datetime
    digest: str  #: of what was applied


class Leftover(LeftoverRecord):
    """The same, with how it stands."""

    tries: int  #: in vain
    due_at: datetime | None  #: None: given up, until someone asks for a retry


class Worker(BaseModel):
    """What a worker process announces of itself."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    seen_at: datetime
    concurrency: int
    jobs: int  #: in hand
    endpoints: tuple[str, ...]  #: those whose key it holds, or that need none
