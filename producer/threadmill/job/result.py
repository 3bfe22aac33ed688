"""The contract's other half: what comes back of a job.

A result of a newer version is read too: it keeps the fields and the kinds of failure that this version does not know.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Self

from pydantic import AwareDatetime, Field, JsonValue

from threadmill.job.model import Redacted, Stored


class JobState(StrEnum):
    QUEUED = "queued"  #: waits for a worker
    RUNNING = "running"  #: a worker holds its lease
    SUCCEEDED = "succeeded"  #: the answer is in the result
    FAILED = "failed"  #: the reason is in the result's failure
    CANCELLED = "cancelled"  #: stopped at its owner's wish


TERMINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
OPEN = frozenset(JobState) - TERMINAL


class FailureKind(StrEnum):
    """Why a job failed. A kind that only a newer version knows is kept as its text: end a `match` with `case _`."""

    REJECTED = "rejected"  #: the job or its input is wrong; repeating it as it is cannot help
    UNAUTHORISED = "unauthorised"  #: the server refuses the key (401, 403), or the worker has none
    UNSUPPORTED = "unsupported"  #: the server does not speak the API of the endpoint's kind
    QUOTA = "quota"  #: the account has no credit left; a human must act
    RATE_LIMITED = "rate_limited"  #: runs kept ending in rate_limit_exceeded, reruns included
    INVALID_PROMPT = "invalid_prompt"  #: the server will not answer this prompt
    SERVER_ERROR = "server_error"  #: runs kept failing on the server's side, reruns included
    INCOMPLETE = "incomplete"  #: a token limit cut the answer; the partial text is kept
    EMPTY_ANSWER = "empty_answer"  #: the run completed without a message
    INVALID_ANSWER = "invalid_answer"  #: the answer does not fit `response_format`, that of a rerun included
    EXPIRED = "expired"  #: the server gave runs up after their ten minutes, reruns included
    OVERDUE = "overdue"  #: our deadline passed; the remote run was cancelled
    STUCK = "stuck"  #: the run neither moved nor ended within its limits, reruns included
    CANCELLED_REMOTELY = "cancelled_remotely"  #: someone else cancelled the run
    CANCELLED = "cancelled"  #: the job's owner cancelled it
    TOOL_FAILED = "tool_failed"  #: the run asked for more rounds of tools than allowed
    UNREACHABLE = "unreachable"  #: the server gave no usable reply for too long
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"  #: too many processes in a row ended while they ran it
    UNREADABLE = "unreadable"  #: its record is damaged, or was written by a newer version
    INTERNAL_ERROR = "internal_error"  #: an unexpected exception in the worker; its log has the traceback

    @classmethod
    def _missing_(cls, value: object) -> "FailureKind | None":
        """A kind that is not in the list of all kinds; it is equal to its text."""
        if not isinstance(value, str):
            return None
        kind = str.__new__(cls, value)
        kind._name_ = kind._value_ = value
        return kind


#: The endpoint fails, not the document: every job fails the same way until somebody fixes the key, the account or
#: the URL. A batch stops after a few of these in a row, and a later run counts their documents as not asked.
ENDPOINT_FAILURES = frozenset({FailureKind.UNAUTHORISED, FailureKind.UNSUPPORTED, FailureKind.QUOTA})


class Failure(Stored):
    """Why a job did not succeed: part of the result, not an exception."""

    kind: FailureKind
    message: Redacted
    code: Redacted | None = None  #: the server's own code, where it gave one
    retryable: bool = False  #: whether the same job may succeed when sent again


#: Of a job that nobody had begun, or that was queued again.
CANCELLED_WHILE_QUEUED = Failure(kind=FailureKind.CANCELLED, message="cancelled while it was queued", retryable=True)


class Usage(Stored):
    """Tokens, summed over all runs of the job."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    unreported: int = 0  #: runs that gave an answer of whose tokens the server did not tell

    @property
    def is_reported(self) -> bool:
        """Whether the server tells anything of the tokens."""
        return self.total_tokens > 0 or not self.unreported

    @property
    def in_words(self) -> str:
        """The number of tokens, for people; it says so where the server does not report them."""
        if not self.is_reported:
            return "not reported"
        return f"{self.total_tokens:,}" + (f", and {self.unreported:,} runs not reported" if self.unreported else "")

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            total_tokens=self.total_tokens + other.total_tokens,
            unreported=self.unreported + other.unreported,
        )


class ModelUsage(Stored):
    """Tokens that one model has read and written."""

    model: str | None = None  #: as the server names it; None: it does not, and nobody asked for one
    lane: str | None = None  #: the one they went through, at a lower price; None: at the full price
    usage: Usage = Usage()


class Timings(Stored):
    """Moments of the job, by Redis' clock."""

    created_at: AwareDatetime
    started_at: AwareDatetime | None = None  #: first claim
    finished_at: AwareDatetime


class Citation(Stored):
    """A source of the answer: footnote `[number]` of its text."""

    number: int
    file_id: str | None = None
    name: str | None = None  #: the file's name, or the page's title
    url: str | None = None  #: of a web page
    quote: str | None = None  #: the passage, where the server gives it


class Artifact(Stored):
    """A file the model made, downloaded to the artifact store; the answer's links lead there."""

    file_id: str
    name: str  #: fit for any file system
    uri: str | None = None  #: where it is: a path, or the bucket's URL; None: it could not be had
    media_type: str = "application/octet-stream"
    size: int = 0  #: bytes
    sha256: str | None = None
    error: str | None = None  #: why it could not be had; it is still on the server then


class JobResult(Stored):
    """What became of a job. A failed run is a result too: look at `state`, then `text` or `failure`."""

    job_id: str
    state: JobState
    text: str = ""  #: the whole answer; citations are footnotes, links to files lead to the artifacts
    content: tuple[dict[str, JsonValue], ...] = ()  #: content blocks in order, as the server sent them
    parsed: JsonValue = None  #: the answer as JSON, when the job's `response_format` asked for that
    citations: tuple[Citation, ...] = ()
    files: tuple[Artifact, ...] = ()
    steps: tuple[dict[str, JsonValue], ...] = ()  #: what the run did, when the job asked for `include_steps`
    missing_steps: str | None = None  #: why `steps` may lack some; None: the server has told all
    ignored_tools: tuple[str, ...] = ()  #: functions that the job offered, and the run, as its server shows it, lacks
    thread_id: str | None = None  #: the thread, when it lives on
    usage: Usage = Usage()
    model: str | None = None  #: that answered, as the server names it; of several runs, the last one's
    lane: str | None = None  #: the one that all runs went through, at a lower price; None: not all of them did
    full_price: str | None = None  #: why runs went through no lane, though the job names one
    runs: int = 0  #: remote runs started
    attempts: int = 0
    calls: int = 0  #: HTTP calls made, retries included
    lost_threads: int = 0  #: threads the server may have made without our learning their id
    lost_files: int = 0  #: the same of files and vector stores
    lost_runs: int = 0  #: the same of runs that do not go with their thread
    failure: Failure | None = None
    timings: Timings
    metadata: dict[str, str] = Field(default={})
    batch: str | None = None

    @classmethod
    def without_record(cls, job_id: str, state: JobState, failure: Failure, at: datetime) -> Self:
        """The result of a job of which nothing else is known: it has no record, or one that cannot be read."""
        return cls(job_id=job_id, state=state, failure=failure, timings=Timings(created_at=at, finished_at=at))

    @property
    def ok(self) -> bool:
        return self.state is JobState.SUCCEEDED

    @property
    def usage_by_model(self) -> tuple[ModelUsage, ...]:
        """Its tokens, all of them under the model that answered."""
        return (ModelUsage(model=self.model, lane=self.lane, usage=self.usage),) if self.usage != Usage() else ()


def add_up(parts: Iterable[ModelUsage]) -> tuple[ModelUsage, ...]:
    """One entry per model and lane that took tokens, or whose tokens were not reported."""
    sums: dict[tuple[str | None, str | None], Usage] = {}
    for part in parts:
        if part.usage != Usage():
            sums[part.model, part.lane] = sums.get((part.model, part.lane), Usage()) + part.usage
    return tuple(ModelUsage(model=model, lane=lane, usage=usage) for (model, lane), usage in sums.items())
