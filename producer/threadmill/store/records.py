"""The records of jobs in Redis, and of messages that no worker could deliver."""

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict

from threadmill import stored
from threadmill.errors import NewerRecord, UnreadableRecord
from threadmill.job.model import StoredModel
from threadmill.job.progress import ProgressSummary
from threadmill.job.prompt import PromptJob
from threadmill.job.result import TERMINAL, Failure, FailureKind, JobResult, JobState, Timings
from threadmill.names import printable
from threadmill.secrets.redaction import redact, redact_all
from threadmill.store.remote_records import LeftoverRecord

#: The format of a job's record. Increase it when workers of the previous version would misread a record: after a new
#: state, or a new value, default or meaning of a field. A new field alone does not need a new number. Producers and
#: workers write it with each job and each saved progress. A worker leaves records with a higher number alone.
FORMAT = 1

#: Jobs of at least so many characters are compressed; a compressed job has this prefix.
_PACK_FROM = 1000
_PACKED = "zlib:"

#: Bytes kept of a dead letter; threadmill's own messages are shorter.
_DEAD_LETTER_BYTES = 65_536

#: Fields of a job that may hold a secret by mistake. Names, ids and paths are not redacted.
_TEXTS = ("prompt", "messages", "instructions", "additional_instructions", "tools", "response_format", "metadata")


class JobRecord(BaseModel):
    """The record of a job: the fields of its hash, and its id."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    state: JobState
    job: PromptJob
    unknown: tuple[str, ...] = ()  #: fields that only a newer version knows, as `job.prompt`
    format: int = 1  #: the highest FORMAT of the versions that wrote it
    attempts: int = 0
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
    progress: str | None = None  #: the worker's saved progress, as JSON
    calls: int = 0  #: HTTP calls made, also since the last saved progress
    result: JobResult | None = None
    history: tuple[JobResult, ...] = ()  #: results before it was redriven, oldest first

    def ended(self, state: JobState, failure: Failure | None, at: datetime, **more: Any) -> JobResult:
        """Returns the result of this job if it ends at `at`; `more` are further fields of JobResult."""
        return JobResult(
            job_id=self.id,
            state=state,
            failure=failure,
            attempts=self.attempts,
            timings=Timings(
                created_at=self.created_at,
                started_at=self.started_at,
                finished_at=max(at, self.started_at or at),  # a worker only estimates Redis' time
            ),
            metadata=self.job.metadata,
            batch=self.job.batch,
            **more,
        )

    def stopped(self, state: JobState, failure: Failure, at: datetime) -> JobResult:
        """Returns the result of this job if it is stopped now, with what it has spent so far."""
        spent = self.progress_summary.spent if self.progress_summary else {}
        return self.ended(state, failure, at, **spent | {"calls": max(self.calls, spent.get("calls", 0))})

    def remains(self, endpoint: str) -> list[str]:
        """Returns what the job leaves on its server if it is stopped now, as LeftoverRecords in JSON."""
        remains = self.progress_summary.remains if self.progress_summary else ()
        return [LeftoverRecord(endpoint=endpoint, kind=each.kind, id=each.id).model_dump_json() for each in remains]

    @property
    def newer(self) -> NewerRecord | None:
        """Why only a worker of a newer version can run the job; None if this version can."""
        if self.format > FORMAT:
            return newer_format(self.id, self.format)
        if self.unknown:
            return NewerRecord(self.id, self.unknown[0], "unknown to this version")
        return None

    @property
    def worker(self) -> str | None:
        """The name of the worker that runs the job, or None."""
        return self.owner.rpartition(":")[0] if self.owner and self.state is JobState.RUNNING else None

    @property
    def changed_at(self) -> datetime:
        """When the job last changed its state, by the times in the record."""
        return self.finished_at or self.started_at or self.created_at

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
                values[field], unknown = unpacked(fields[field])
                values["unknown"] = tuple(f"{field}.{name}" for name in unknown)
            for field, parse in _PARSERS.items():
                if fields.get(field):
                    values[field] = parse(fields[field])
            field = ""
            record = cls.model_validate(values)
        except (ValueError, RecursionError, zlib.error) as error:
            if (number := fields.get("format", "")).isdecimal() and int(number) > FORMAT:
                raise newer_format(job_id, int(number)) from None
            raise UnreadableRecord(job_id, *stored.fault(error, field)) from None
        if record.state in TERMINAL and record.result is None:
            raise UnreadableRecord(job_id, "result", "missing")
        return record


def newer_format(job_id: str, number: int) -> NewerRecord:
    """Returns the error for a record with the format of a newer version."""
    return NewerRecord(job_id, "format", f"{number}, and this version knows {FORMAT}")


@dataclass(frozen=True)
class JobFilter:
    """Selects jobs that match all the given fields."""

    state: JobState | None = None
    batch: str | None = None
    endpoint: str | None = None
    failure: FailureKind | None = None
    since: AwareDatetime | None = None  #: changed their state at this time or later
    metadata: Mapping[str, str] | None = None  #: have all these pairs

    def matches(self, record: JobRecord) -> bool:
        failure = record.result.failure if record.result else None
        return (
            self.state in (None, record.state)
            and self.batch in (None, record.job.batch)
            and self.endpoint in (None, record.job.endpoint)
            and (self.failure is None or (failure is not None and failure.kind == self.failure))
            and (self.since is None or record.changed_at >= self.since)
            and (self.metadata or {}).items() <= record.job.metadata.items()
        )


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


def packed(job: PromptJob) -> str:
    """Encodes a job for its record: JSON with secrets redacted, compressed if it is long."""
    body = job.model_dump_json(exclude_defaults=True)
    if redact(body) != body:
        fields = json.loads(body)
        fields |= redact_all({name: fields[name] for name in _TEXTS if name in fields})
        body = json.dumps(fields, ensure_ascii=False)
    return body if len(body) < _PACK_FROM else _PACKED + b64encode(zlib.compress(body.encode())).decode()


def unpacked(field: str) -> tuple[PromptJob, tuple[str, ...]]:
    """Decodes what `packed` returned, or plain JSON: the job, and its fields that this version does not know."""
    if field.startswith(_PACKED):
        field = zlib.decompress(b64decode(field[len(_PACKED) :])).decode()
    return PromptJob.read(field)


def _history(field: str) -> list[JobResult]:
    return [JobResult.model_validate_json(line) for line in field.splitlines()]


#: Fields that hold JSON.
_PARSERS: Mapping[str, Callable[[str], Any]] = {
    "result": JobResult.model_validate_json,
    "history": _history,
}


class DeadLetter(StoredModel):
    """A queue message that no worker could deliver."""

    at: AwareDatetime  #: when a worker took it off the queue
    reason: str
    size: int  #: bytes
    sha256: str
    body: str  #: its first 64 kB in base64

    @classmethod
    def of(cls, item: bytes, reason: str, at: datetime) -> Self:
        body = b64encode(item[:_DEAD_LETTER_BYTES]).decode()
        return cls(at=at, reason=reason, size=len(item), sha256=sha256(item).hexdigest(), body=body)
