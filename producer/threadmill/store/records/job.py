"""The records of jobs in Redis."""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter

from threadmill import stored
from threadmill.errors import NewerRecord, UnreadableRecord
from threadmill.job.events.timeline import Timeline, TimelineEntry, TimelineKind, from_json, in_order
from threadmill.job.model import Redacted, StoredModel
from threadmill.job.progress import ProgressSummary
from threadmill.job.prompt import PromptJob
from threadmill.job.result import TERMINAL, Failure, JobResult, JobState, Timings
from threadmill.names import printable
from threadmill.settings.endpoints.pool_name import Pool
from threadmill.store.records.flow import Flow
from threadmill.store.records.packing import unpack, unpack_job, unpack_result
from threadmill.store.records.remote import LeftoverRecord
from threadmill.tracing.spans import TraceContext

#: The format of a job's record. Increase it when workers of the previous version would misread a record: after a new
#: state, or a new value, default or meaning of a field. A new field alone does not need a new number. Producers and
#: workers write it with each job and each saved progress. A worker leaves records with a higher number alone.
FORMAT = 1


class Sender(StrEnum):
    """Who sent a job, and therefore reads its result. Jobs of older versions have none."""

    CLIENT = "client"  #: threadmill's client: it reads the record, compressed or not
    CELERY = "celery"  #: another Celery client: it reads Celery's copy of the result


class Move(StoredModel):
    """A job left an endpoint, because another may run it."""

    endpoint: str
    reason: Redacted


class JobRecord(BaseModel):
    """The record of a job: the fields of its hash, and its id."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    state: JobState
    job: PromptJob
    unknown: tuple[str, ...] = ()  #: fields that only a newer version knows, as `job.prompt`
    format: int = 1  #: the highest FORMAT of the versions that wrote it
    attempts: int = 0
    sender: str = ""  #: a Sender; '': an older version created it
    created_at: AwareDatetime
    started_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None
    owner: str | None = None  #: the current or last claim: the worker's name and a number
    interruptions: int = 0  #: how often in a row a worker died or lost the lease before it saved any progress
    own_process: bool = False  #: after two interruptions: runs in a process of its own
    cancel_requested: bool = False
    remote_batch: str | None = (
        None  #: the remote batch that the job waits for, '-' before it has one; None: not in the lane
    )
    lane_since: datetime | None = None  #: when the job first entered the batch lane
    flow: str = ""  #: its priority, tenant, batch and the pools it may use, as lua/include/flows.lua says
    pool: str | None = None  #: the pool that it was dispatched to
    moves: tuple[Move, ...] = ()  #: the endpoints that it has left for another, the first one first
    limited_s: float = 0.0  #: how long it was ready, and a worker was free, but its pools were not
    progress: str | None = None  #: the worker's saved progress, as JSON
    calls: int = 0  #: HTTP calls made, also since the last saved progress
    result: JobResult | None = None
    history: tuple[JobResult, ...] = ()  #: results before it was redriven, oldest first
    timeline: Timeline = ()  #: what its workers noted
    traceparent: str | None = None  #: the W3C trace context of the call that enqueued it; None: it is not traced
    tracestate: str | None = None

    def ended(
        self, state: JobState, failure: Failure | None, at: datetime, limited_s: float = 0.0, **more: Any
    ) -> JobResult:
        """Returns the result of this job if it ends at `at`; `more` are further fields of JobResult.

        `limited_s`: how long it has waited for limits since its first attempt.
        """
        return JobResult(
            job_id=self.id,
            state=state,
            failure=failure,
            attempts=self.attempts,
            timings=Timings(
                created_at=self.created_at,
                started_at=self.started_at,
                finished_at=max(at, self.started_at or at),  # a worker only estimates Redis' time
                limited_s=round(self.limited_s + limited_s, 3),
            ),
            metadata=self.job.metadata,
            batch=self.job.batch,
            endpoint=self.endpoint,
            **more,
        )

    def stopped(self, state: JobState, failure: Failure, at: datetime) -> JobResult:
        """Returns the result of this job if it is stopped now, with what it has spent so far."""
        progress = self.progress_summary
        spent, limited_s = (progress.spent, progress.limited_s) if progress else ({}, 0.0)
        return self.ended(state, failure, at, limited_s, **spent | {"calls": max(self.calls, spent.get("calls", 0))})

    def remains(self, endpoint: str) -> list[str]:
        """Returns what the job leaves on its server if it is stopped now, as LeftoverRecords in JSON."""
        progress = self.progress_summary
        if progress is None:
            return []
        return [
            LeftoverRecord(endpoint=endpoint, kind=each.kind, id=each.id, key=progress.key).to_json()
            for each in progress.remains
        ]

    @property
    def newer(self) -> NewerRecord | None:
        """Why only a worker of a newer version can run the job; None if this version can."""
        if self.format > FORMAT:
            return newer_format(self.id, self.format)
        if self.unknown:
            return NewerRecord(self.id, self.unknown[0], "unknown to this version")
        return None

    @property
    def endpoint(self) -> str | None:
        """The endpoint that runs the job: that of its pool; before it is dispatched, the one that it names."""
        return Pool.parse(self.pool).endpoint if self.pool else self.job.endpoint

    @property
    def endpoints(self) -> frozenset[str]:
        """The endpoints whose pools it may use, as the producer's settings say. Empty if it awaits no pool."""
        return frozenset(Pool.parse(pool).endpoint for pool in Flow.parse(self.flow).pools)

    @property
    def trace(self) -> TraceContext | None:
        """The context of its trace."""
        return TraceContext(self.traceparent, self.tracestate) if self.traceparent else None

    @property
    def worker(self) -> str | None:
        """The name of the worker that runs the job, or None."""
        return self.owner.rpartition(":")[0] if self.owner and self.state is JobState.RUNNING else None

    def is_named(self, text: str) -> bool:
        """Whether its document, its key, its id or a value of its metadata contains a text, in upper or lower case."""
        names = (self.job.document or "", self.job.key or "", self.id, *self.job.metadata.values())
        return any(text.casefold() in name.casefold() for name in names)

    @property
    def changed_at(self) -> datetime:
        """When the job last changed its state, by the times in the record."""
        return self.finished_at or self.started_at or self.created_at

    @property
    def full_timeline(self) -> Timeline:
        """What happened to the job in order: what its workers noted, when it was created, and each end."""
        results = (*self.history, *((self.result,) if self.result else ()))
        queued = TimelineEntry(0.0, TimelineKind.QUEUED.value)
        return in_order([queued], self.timeline, [_end(self.created_at, result) for result in results])

    @property
    def progress_summary(self) -> ProgressSummary | None:
        """The saved progress of a running job; None if there is none or it is unreadable."""
        return stored.read(ProgressSummary, self.progress, f"the progress of job {self.id}") if self.progress else None

    @classmethod
    def read(cls, job_id: str, fields: Mapping[str, str]) -> Self:
        """Parses a record. Raises UnreadableRecord, or NewerRecord if a newer version wrote it."""
        values: dict[str, Any] = {
            **fields,
            "id": job_id,
            "cancel_requested": "cancel_requested" in fields,
            "unknown": (),
        }
        field = "job"
        try:
            if fields.get(field):
                values[field], unknown = unpack_job(fields[field])
                values["unknown"] = tuple(f"{field}.{name}" for name in unknown)
            for field, parse in _PARSERS.items():
                if fields.get(field):
                    values[field] = parse(fields[field])
            field = ""
            record = cls.model_validate(values)
        except (ValueError, RecursionError) as error:
            if (number := fields.get("format", "")).isdecimal() and int(number) > FORMAT:
                raise newer_format(job_id, int(number)) from None
            raise UnreadableRecord(job_id, *stored.fault(error, field)) from None
        if record.state in TERMINAL and record.result is None:
            raise UnreadableRecord(job_id, "result", "missing")
        return record


def newer_format(job_id: str, number: int) -> NewerRecord:
    """Returns the error for a record with the format of a newer version."""
    return NewerRecord(job_id, "format", f"{number}, and this version knows {FORMAT}")


class UnreadableJob(StoredModel):
    """A job with an unreadable record: damaged, or written by a newer version."""

    id: str
    state: str  #: as stored; '' if missing
    since: AwareDatetime  #: when the job changed to this state
    field: str  #: the unreadable part, such as `job.prompt`; '' for the whole record
    kind: str  #: what is wrong with it, without its content


def check_readable(job_id: str, since: datetime, fields: Mapping[str, str]) -> UnreadableJob | None:
    """Returns the first unreadable part of a record, including its progress; None if all is readable."""
    try:
        record = JobRecord.read(job_id, fields)
        if record.progress:
            ProgressSummary.model_validate_json(record.progress)
    except UnreadableRecord as error:
        field, kind = error.field, error.kind
    except ValueError as error:
        field, kind = stored.fault(error, "progress")
    else:
        return None
    return UnreadableJob(id=job_id, state=printable(fields.get("state", ""))[:40], since=since, field=field, kind=kind)


def _history(field: str) -> list[JobResult]:
    return [unpack_result(line) for line in field.splitlines()]


def _timeline(field: str) -> Timeline:
    """Returns a timeline; an empty one if it is damaged: no job depends on it."""
    try:
        return from_json(unpack(field))
    except ValueError as error:
        stored.leave_out("the timeline of a job", *stored.fault(error))
        return ()


def _end(created_at: datetime, result: JobResult) -> TimelineEntry:
    failure = result.failure
    detail = f"{result.state}: {failure.kind}: {failure.message}" if failure else result.state.value
    at_s = (result.timings.finished_at - created_at).total_seconds()
    return TimelineEntry(round(at_s, 3), TimelineKind.ENDED.value, detail)


#: Fields that hold JSON.
_PARSERS: Mapping[str, Callable[[str], Any]] = {
    "result": unpack_result,
    "history": _history,
    "timeline": _timeline,
    "moves": TypeAdapter(tuple[Move, ...]).validate_json,
}
