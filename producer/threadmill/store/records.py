"""The records in Redis: of jobs, batches, threads, leftovers and workers."""

import json
import zlib
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from threadmill import stored
from threadmill.errors import NewerRecord, UnreadableRecord
from threadmill.job.model import Redacted, StoredModel
from threadmill.job.progress import ProgressSummary
from threadmill.job.prompt import PromptJob
from threadmill.job.result import OPEN, TERMINAL, Failure, FailureKind, JobResult, JobState, ModelUsage, Timings, Usage
from threadmill.names import printable
from threadmill.secrets.redaction import redact, redact_all

#: The format of a job's record. Increase it when workers of the previous version would misread a record: after a new
#: state, or a new value, default or meaning of a field. A new field alone does not need a new number. Producers and
#: workers write it with each job and each saved progress. A worker leaves records with a higher number alone.
FORMAT = 1

#: A clock that differs from Redis' clock by more seconds than this is reported.
SKEW_LIMIT_S = 1.0

#: Jobs of at least so many characters are compressed; a compressed job has this prefix.
_PACK_FROM = 1000
_PACKED = "zlib:"

#: Bytes kept of a dead letter; our own messages are shorter.
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
    lapses: int = 0  #: how often in a row a worker died or lost the lease before it saved any progress
    alone: bool = False  #: after two lapses: runs in a process of its own
    cancel_requested: bool = False
    parked: str | None = None  #: the remote batch that the job waits for, '-' before it has one; None: not in the lane
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
        things = self.progress_summary.remains if self.progress_summary else ()
        return [LeftoverRecord(endpoint=endpoint, kind=each.kind, id=each.id).model_dump_json() for each in things]

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


class LeftoverRecord(StoredModel):
    """A remote object that still has to be deleted after its job has ended."""

    endpoint: str
    kind: str  #: "thread", "response", "container", "file", "vector_store"; or "run", which is cancelled
    id: str  #: THREAD/RUN for a run on a thread


#: Characters of a transcript's JSON; longer transcripts are not kept.
TRANSCRIPT_LIMIT = 1_000_000


class Transcript(StoredModel):
    """The messages of a chain of responses, as input items for the next response, oldest first."""

    items: tuple[dict[str, Any], ...]

    def to_json(self) -> str:
        """Returns the JSON with secrets redacted, or '' if it is too long to be kept."""
        text = json.dumps({"items": redact_all(list(self.items))}, ensure_ascii=False)
        return text if len(text) <= TRANSCRIPT_LIMIT else ""


#: What a thread is on its server: a thread of the Assistants API, a conversation, or a chain of responses.
ThreadKind = Literal["thread", "conversation", "chain"]


class KeptThread(StoredModel):
    """A remote thread that is kept for later jobs until somebody deletes it."""

    endpoint: str
    id: str
    kind: ThreadKind | None = None  #: None: an older version of threadmill did not store it
    job_id: str  #: the last job on it
    created_at: AwareDatetime  #: when the thread was first kept
    used_at: AwareDatetime  #: when the last job ended
    jobs: int = 1  #: number of jobs that have ended on it
    assistant: str | None = None
    latest: str | None = None  #: chains: the response to continue from; '': the server stores no responses
    transcript: Transcript | None = Field(None, exclude=True)  #: chains; stored under a key of its own
    things: dict[str, str] = Field(default={})  #: objects deleted with the thread: id -> "file" or "vector_store"

    @property
    def is_chain(self) -> bool:
        """Whether it is a chain of responses; without a stored kind, the id decides."""
        return self.kind == "chain" or (self.kind is None and self.id.startswith("resp"))

    @property
    def leftovers(self) -> tuple[LeftoverRecord, ...]:
        """What has to be deleted: the thread and its objects."""
        kind = "response" if self.is_chain else "thread"
        things = [(kind, self.id), *((kind, id) for id, kind in self.things.items())]
        return tuple(LeftoverRecord(endpoint=self.endpoint, kind=kind, id=id) for kind, id in things)


class BatchRecord(StoredModel):
    """A batch: the number of its jobs in each state, and what the ended jobs have spent.

    Its hash holds these numbers, so that reading a batch reads no job. A redriven job counts its tokens of all times,
    but its failure only if it failed the last time.
    """

    name: str
    changed_at: AwareDatetime  #: when one of its jobs last changed its state
    jobs: dict[JobState, int]
    documents: int | None = None  #: number of documents; None: unknown
    paused: bool = False  #: workers start none of its jobs
    cancel_requested: bool = False  #: no more of its jobs are enqueued
    generation: int = 0  #: how often the whole batch was started again
    seen_to: bool = False  #: a command enqueues its documents, or waits for their jobs
    usage_by_model: tuple[ModelUsage, ...] = ()
    calls: int = 0  #: HTTP calls made
    failures: dict[FailureKind, int] = Field(default={})  #: number of failed jobs by kind, the most frequent first

    @property
    def total(self) -> int:
        return sum(self.jobs.values())

    @property
    def open(self) -> int:
        """The number of jobs that have not ended."""
        return sum(self.jobs.get(state, 0) for state in OPEN)

    @property
    def usage(self) -> Usage:
        return sum((part.usage for part in self.usage_by_model), Usage())

    @classmethod
    def read(cls, name: str, changed_at: datetime, fields: Mapping[str, str], *, seen_to: bool = False) -> Self:
        """Parses a batch. Unknown fields are ignored; a damaged number counts as 0."""
        plain = (*JobState, "documents", "generation", "calls")
        numbers = {field: _number(name, fields[field]) for field in plain if field in fields}
        spent: dict[tuple[str, str], dict[str, int]] = {}
        failures = Counter[FailureKind]()
        for field, number in fields.items():
            match field.split(":", 3):
                case ["usage", kind, lane, model] if kind in Usage.model_fields:
                    spent.setdefault((model, lane), {})[kind] = _number(name, number)
                case ["failed", kind]:
                    failures[FailureKind(kind)] += _number(name, number)
        return cls.model_validate(
            {
                "name": name,
                "changed_at": changed_at,
                "jobs": {state: numbers[state] for state in JobState if state in numbers},
                "documents": numbers.get("documents"),
                "paused": "paused" in fields,
                "cancel_requested": "cancel_requested" in fields,
                "generation": numbers.get("generation", 0),
                "seen_to": seen_to,
                "usage_by_model": [
                    {"model": model or None, "lane": lane or None, "usage": usage}
                    for (model, lane), usage in sorted(spent.items())
                ],
                "calls": numbers.get("calls", 0),
                "failures": {kind: number for kind, number in failures.most_common() if number > 0},
            }
        )

    @staticmethod
    def counts(result: JobResult) -> dict[str, int]:
        """Returns what the end of a job adds to the fields of its batch."""
        counted = {
            f"usage:{kind}:{part.lane or ''}:{part.model or ''}": tokens
            for part in result.usage_by_model
            for kind, tokens in part.usage.model_dump(include=set(Usage.model_fields)).items()
        }
        counted["calls"] = result.calls
        if result.state is JobState.FAILED and result.failure:
            counted[_failed(result.failure.kind)] = 1
        return {field: number for field, number in counted.items() if number > 0}


def _failed(kind: FailureKind) -> str:
    return f"failed:{kind}"


def _number(batch: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        stored.leave_out(f"a number of batch {batch}", "", "no integer")
        return 0


class RemoteBatch(StoredModel):
    """A remote batch, and the state of its submission."""

    name: str  #: threadmill's name
    endpoint: str
    made_at: AwareDatetime
    sending: bool = False  #: a call that creates something may have taken effect: look for it before the retry
    file_id: str | None = None  #: the file of requests, after its upload
    batch_id: str | None = None  #: the provider's id, after its creation
    lane: str = ""  #: ENDPOINT/MODEL
    tries: int = 0  #: number of earlier remote batches that did not answer its jobs
    limited: bool = False  #: the last of them exceeded a limit of the server: the lane submits one at a time
    not_before: datetime | None = None  #: the earliest time to submit it
    reason: str | None = None  #: why its jobs still wait, for `threadmill status`
    format: int = FORMAT


class Applied(StoredModel):
    """The remote assistant that a profile was applied to."""

    id: str
    applied_at: AwareDatetime
    digest: str  #: fingerprint of the applied profile


class Leftover(LeftoverRecord):
    """A leftover with the state of its deletion."""

    tries: int  #: failed attempts
    due_at: AwareDatetime | None  #: the next attempt; None: given up until `threadmill leftovers --retry`


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


class EndpointTrouble(StoredModel):
    """An endpoint that refuses, fails or cannot be reached, as one worker's jobs find."""

    endpoint: str
    reason: Redacted  #: the reason of the latest failed call, with the server's status
    since: AwareDatetime
    until: AwareDatetime | None = None  #: when the first waiting job gives up; None: not known
    calls: int = 1  #: failed calls in a row, the maximum of all jobs
    jobs: int = 1  #: number of jobs that wait for the endpoint

    def __add__(self, other: "EndpointTrouble") -> "EndpointTrouble":
        """Returns both as one, with the reason of the one that began first."""
        first = min(self, other, key=lambda each: each.since)
        until = min(filter(None, (self.until, other.until)), default=None)
        summed = {"calls": max(self.calls, other.calls), "jobs": self.jobs + other.jobs, "until": until}
        return first.model_copy(update=summed)


def add_troubles(troubles: Iterable[EndpointTrouble]) -> tuple[EndpointTrouble, ...]:
    """Merges the troubles of each endpoint into one."""
    sums: dict[str, EndpointTrouble] = {}
    for each in troubles:
        sums[each.endpoint] = sums[each.endpoint] + each if each.endpoint in sums else each
    return tuple(sums.values())


class Worker(StoredModel):
    """What a worker process announces about itself."""

    name: str
    seen_at: AwareDatetime  #: by Redis' clock, as `started_at` is
    concurrency: int
    jobs: int  #: running now
    endpoints: tuple[str, ...]  #: endpoints whose key it has, or that need no key
    started_at: AwareDatetime | None = None
    version: str | None = None
    troubles: tuple[EndpointTrouble, ...] = ()  #: one per endpoint that gives its jobs no usable replies
    format: int = 1  #: the highest FORMAT that it knows
    left_alone: int = 0  #: jobs that it did not run because they need a newer version
    clock_skew_s: float = 0.0  #: how far its machine's clock is ahead of Redis' clock; negative: behind
