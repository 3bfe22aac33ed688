"""What is kept in Redis: of jobs, of workers, and of remote things still to be deleted."""

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

#: A clock that differs from Redis' by more than this is reported, in seconds.
SKEW_LIMIT_S = 1.0

#: Characters from which on a job is worth compressing, and how a compressed one begins.
_PACK_FROM = 1000
_PACKED = "zlib:"

#: What is kept of a dead letter: more than any message of ours has.
_DEAD_LETTER_BYTES = 65_536

#: A job's fields in which a secret may stand by mistake. Names, ids and paths are kept as they are.
_TEXTS = ("prompt", "messages", "instructions", "additional_instructions", "tools", "response_format", "metadata")


class JobRecord(BaseModel):
    """A job as it stands in Redis; the fields of its hash, and its id."""

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
    owner: str | None = None  #: the claim that holds the job, or held it last: its worker's name and a number
    lapses: int = 0  #: how often in a row its worker ended or fell silent before the job had moved on
    alone: bool = False  #: that happened twice: it runs in a process of its own
    cancel_requested: bool = False
    parked: str | None = None  #: the remote batch it waits in, '-' before there is one; None: it waits in none
    lane_since: datetime | None = None  #: when it first came into the batch lane
    progress: str | None = None  #: the worker's saved progress, own JSON
    calls: int = 0  #: HTTP calls made, as its worker counts them between two saves of its progress
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
                finished_at=max(at, self.started_at or at),  # a worker only estimates Redis' time
            ),
            metadata=self.job.metadata,
            batch=self.job.batch,
            **more,
        )

    def stopped(self, state: JobState, failure: Failure, at: datetime) -> JobResult:
        """The result of this job, ended where it stands, with what it has spent so far."""
        spent = self.progress_summary.spent if self.progress_summary else {}
        return self.ended(state, failure, at, **spent | {"calls": max(self.calls, spent.get("calls", 0))})

    def remains(self, endpoint: str) -> list[str]:
        """What it leaves on its server if it ends where it stands, as LeftoverRecords in JSON."""
        things = self.progress_summary.remains if self.progress_summary else ()
        return [LeftoverRecord(endpoint=endpoint, kind=each.kind, id=each.id).model_dump_json() for each in things]

    @property
    def newer(self) -> NewerRecord | None:
        """Why only a worker of a newer version runs it; None: one of this version does."""
        if self.format > FORMAT:
            return newer_format(self.id, self.format)
        if self.unknown:
            return NewerRecord(self.id, self.unknown[0], "unknown to this version")
        return None

    @property
    def worker(self) -> str | None:
        """The name of the worker that runs it."""
        return self.owner.rpartition(":")[0] if self.owner and self.state is JobState.RUNNING else None

    @property
    def changed_at(self) -> datetime:
        """When it came into its state, as far as the record tells."""
        return self.finished_at or self.started_at or self.created_at

    @property
    def progress_summary(self) -> ProgressSummary | None:
        """Where its worker is with it; None before the first step, after the last, and if that cannot be read."""
        return stored.read(ProgressSummary, self.progress, f"the progress of job {self.id}") if self.progress else None

    @classmethod
    def read(cls, job_id: str, fields: Mapping[str, str]) -> Self:
        """A record from its hash; raises UnreadableRecord, and NewerRecord if that is why it cannot be read."""
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
    """That a record has a format of a newer version."""
    return NewerRecord(job_id, "format", f"{number}, and this version knows {FORMAT}")


@dataclass(frozen=True)
class JobFilter:
    """Which jobs are listed: those that fit all that is given."""

    state: JobState | None = None
    batch: str | None = None
    endpoint: str | None = None
    failure: FailureKind | None = None
    since: AwareDatetime | None = None  #: they came into their state then or later
    metadata: Mapping[str, str] | None = None  #: pairs that they have

    def lets_through(self, record: JobRecord) -> bool:
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
    """A job whose record cannot be read: damaged, or written by a newer version."""

    id: str
    state: str  #: as it is stored; '' if it is not
    since: AwareDatetime  #: when it came into its state
    field: str  #: the part that cannot be read, as `job.prompt`; '' for the whole record
    kind: str  #: what is wrong with it; never its content


def examine(job_id: str, since: datetime, fields: Mapping[str, str]) -> UnreadableJob | None:
    """What of a record cannot be read, its progress included; None: nothing."""
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
    """A job as its record has it: JSON, compressed where it is long, its texts without secrets of this process."""
    body = job.model_dump_json(exclude_defaults=True)
    if redact(body) != body:
        fields = json.loads(body)
        fields |= redact_all({name: fields[name] for name in _TEXTS if name in fields})
        body = json.dumps(fields, ensure_ascii=False)
    return body if len(body) < _PACK_FROM else _PACKED + b64encode(zlib.compress(body.encode())).decode()


def unpacked(field: str) -> tuple[PromptJob, tuple[str, ...]]:
    """The job that `packed` made this of, and its fields that are unknown here; JSON of any length is read too."""
    if field.startswith(_PACKED):
        field = zlib.decompress(b64decode(field[len(_PACKED) :])).decode()
    return PromptJob.read(field)


def _history(field: str) -> list[JobResult]:
    return [JobResult.model_validate_json(line) for line in field.splitlines()]


#: Fields that hold more than a plain value.
_PARSERS: Mapping[str, Callable[[str], Any]] = {
    "result": JobResult.model_validate_json,
    "history": _history,
}


class LeftoverRecord(StoredModel):
    """A remote thing that outlived its job, still to be deleted."""

    endpoint: str
    kind: str  #: "thread", "response", "container", "file", "vector_store"; or "run", which is cancelled
    id: str  #: of a run on a thread: THREAD/RUN


#: Characters of a transcript's JSON; a longer one is not kept.
TRANSCRIPT_LIMIT = 1_000_000


class Transcript(StoredModel):
    """What was said on a chain of responses: items for the input of the next one, oldest first."""

    items: tuple[dict[str, Any], ...]

    def to_json(self) -> str:
        """'' if it is too long to be kept. Secrets of this process are left out."""
        text = json.dumps({"items": redact_all(list(self.items))}, ensure_ascii=False)
        return text if len(text) <= TRANSCRIPT_LIMIT else ""


#: What a thread is on its server: of the Assistants API, a conversation, or responses that continue from each other.
ThreadKind = Literal["thread", "conversation", "chain"]


class KeptThread(StoredModel):
    """A remote thread that lives on for later jobs, until someone deletes it."""

    endpoint: str
    id: str
    kind: ThreadKind | None = None  #: None: kept by a version that did not store it
    job_id: str  #: the last job on it
    created_at: AwareDatetime  #: when it was first kept
    used_at: AwareDatetime  #: the end of its last job
    jobs: int = 1  #: how many ended on it
    assistant: str | None = None
    latest: str | None = None  #: of a chain: the response to continue from; '': the server stores none
    transcript: Transcript | None = Field(None, exclude=True)  #: of a chain; it has a key of its own
    things: dict[str, str] = Field(default={})  #: what is deleted with it: id -> kind, "file" or "vector_store"

    @property
    def is_chain(self) -> bool:
        """Whether it consists of responses. Where that was not stored, the id of the first of them tells."""
        return self.kind == "chain" or (self.kind is None and self.id.startswith("resp"))

    @property
    def leftovers(self) -> tuple[LeftoverRecord, ...]:
        """What is to be deleted of it: the thread, and its things."""
        kind = "response" if self.is_chain else "thread"
        things = [(kind, self.id), *((kind, id) for id, kind in self.things.items())]
        return tuple(LeftoverRecord(endpoint=self.endpoint, kind=kind, id=id) for kind, id in things)


class BatchRecord(StoredModel):
    """A batch: how many of its jobs are in each state, and what those that have ended spent. Its hash holds a number
    for each of that; it is read without looking at a job.

    A job that was sent again has spent what it spent, but failed only if it failed the last time.
    """

    name: str
    changed_at: AwareDatetime  #: when one of its jobs last changed its state
    jobs: dict[JobState, int]
    documents: int | None = None  #: of its set; None: nobody said
    paused: bool = False  #: no worker begins one of its jobs
    cancel_requested: bool = False  #: nothing more of it is enqueued
    generation: int = 0  #: how often all its documents were asked about anew
    seen_to: bool = False  #: some process enqueues its documents, or awaits them
    usage_by_model: tuple[ModelUsage, ...] = ()
    calls: int = 0  #: HTTP calls made
    failures: dict[FailureKind, int] = Field(default={})  #: of its failed jobs, the most frequent first

    @property
    def total(self) -> int:
        return sum(self.jobs.values())

    @property
    def open(self) -> int:
        """How many of its jobs have not ended."""
        return sum(self.jobs.get(state, 0) for state in OPEN)

    @property
    def usage(self) -> Usage:
        return sum((part.usage for part in self.usage_by_model), Usage())

    @classmethod
    def read(cls, name: str, changed_at: datetime, fields: Mapping[str, str], *, seen_to: bool = False) -> Self:
        """A batch from its hash; fields that are not known are passed over. A number that is damaged counts as 0."""
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
        """What the end of a job adds to the fields of its batch; no name of a model can pass for another's."""
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
    """Jobs that the provider works through together, at a lower price: how far that is."""

    name: str  #: ours
    endpoint: str
    made_at: AwareDatetime
    sending: bool = False  #: a call that makes something of it was begun: look for that thing before it is repeated
    file_id: str | None = None  #: its requests, once uploaded
    batch_id: str | None = None  #: the provider's name of it, once it is there
    lane: str = ""  #: ENDPOINT/MODEL
    tries: int = 0  #: how many remote batches before it came back without the answers of its jobs
    limited: bool = False  #: the last of them exceeded a limit of the server: now its lane sends one at a time
    not_before: datetime | None = None  #: when it is sent
    reason: str | None = None  #: why its jobs still wait, for `threadmill status`
    format: int = FORMAT


class Applied(StoredModel):
    """The remote assistant that a profile was applied to."""

    id: str
    applied_at: AwareDatetime
    digest: str  #: of what was applied


class Leftover(LeftoverRecord):
    """The same, with how it stands."""

    tries: int  #: in vain
    due_at: AwareDatetime | None  #: None: given up, until someone asks for a retry


class DeadLetter(StoredModel):
    """A message on the queue that no worker could deliver."""

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
    """An endpoint that gives the jobs of a worker no usable replies: it refuses, fails or cannot be reached."""

    endpoint: str
    reason: Redacted  #: of the latest failed call, with the status that the server sent
    since: AwareDatetime
    until: AwareDatetime | None = None  #: when the first job that waits for it fails; None: not known
    calls: int = 1  #: failed calls in a row, of the job that has most of them
    jobs: int = 1  #: how many jobs wait for it

    def __add__(self, other: "EndpointTrouble") -> "EndpointTrouble":
        """Both as one; the reason is that of the longer one."""
        first = min(self, other, key=lambda each: each.since)
        until = min(filter(None, (self.until, other.until)), default=None)
        summed = {"calls": max(self.calls, other.calls), "jobs": self.jobs + other.jobs, "until": until}
        return first.model_copy(update=summed)


def add_troubles(troubles: Iterable[EndpointTrouble]) -> tuple[EndpointTrouble, ...]:
    """One for each endpoint."""
    sums: dict[str, EndpointTrouble] = {}
    for each in troubles:
        sums[each.endpoint] = sums[each.endpoint] + each if each.endpoint in sums else each
    return tuple(sums.values())


class Worker(StoredModel):
    """What a worker process announces of itself."""

    name: str
    seen_at: AwareDatetime  #: by Redis' clock, as `started_at` is
    concurrency: int
    jobs: int  #: in hand
    endpoints: tuple[str, ...]  #: those whose key it holds, or that need none
    started_at: AwareDatetime | None = None
    version: str | None = None
    troubles: tuple[EndpointTrouble, ...] = ()  #: one for each endpoint that gives its jobs no usable replies
    format: int = 1  #: the newest FORMAT of records that it knows
    left_alone: int = 0  #: jobs that it did not run, because only a newer version knows what they ask for
    clock_skew_s: float = 0.0  #: by which its machine's clock is ahead of Redis'; negative: behind
