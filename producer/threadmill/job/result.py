"""The result of a job.

Results of a newer version can be read; unknown fields and unknown kinds of failure are kept.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Self

from pydantic import AwareDatetime, Field, JsonValue

from threadmill.job.model import Redacted, StoredModel


class JobState(StrEnum):
    QUEUED = "queued"  #: waits for a worker
    RUNNING = "running"  #: a worker holds its lease
    SUCCEEDED = "succeeded"  #: the answer is in the result
    FAILED = "failed"  #: the reason is in the result's failure
    CANCELLED = "cancelled"  #: cancelled at its owner's request


TERMINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
OPEN = frozenset(JobState) - TERMINAL


class FailureKind(StrEnum):
    """Why a job failed. An unknown kind, of a newer version, is kept as its text: end a `match` with `case _`."""

    REJECTED = "rejected"  #: the job or its input is wrong; repeating it without a change cannot help
    UNAUTHORISED = "unauthorised"  #: the server refuses the key (401, 403), or the worker has none
    UNSUPPORTED = "unsupported"  #: the server does not speak the API of the endpoint's kind
    QUOTA = "quota"  #: the account has no credit left
    RATE_LIMITED = "rate_limited"  #: of earlier versions; now a rate limit only makes a job wait, until its deadline
    INVALID_PROMPT = "invalid_prompt"  #: the server will not answer this prompt
    SERVER_ERROR = "server_error"  #: runs kept failing on the server's side, reruns included
    INCOMPLETE = "incomplete"  #: a token limit cut the answer; the partial text is kept
    EMPTY_ANSWER = "empty_answer"  #: the run completed without a message
    INVALID_ANSWER = "invalid_answer"  #: the answer does not match `response_format`, reruns included
    EXPIRED = "expired"  #: runs exceeded the server's time limit of ten minutes, reruns included
    OVERDUE = "overdue"  #: the job passed its deadline; the remote run was cancelled
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
        """Returns a new kind that equals its text; `list(FailureKind)` does not contain it."""
        if not isinstance(value, str):
            return None
        kind = str.__new__(cls, value)
        kind._name_ = kind._value_ = value
        return kind


#: Failures of the endpoint, not of the job: every job fails the same way until somebody fixes the key, the account
#: or the URL. A batch stops after a few of these in a row and asks about their documents again when it is resumed.
ENDPOINT_FAILURES = frozenset({FailureKind.UNAUTHORISED, FailureKind.UNSUPPORTED, FailureKind.QUOTA})


class Failure(StoredModel):
    """Why a job did not succeed: part of the result, not an exception."""

    kind: FailureKind
    message: Redacted
    code: Redacted | None = None  #: the server's error code, if it sent one
    retryable: bool = False  #: whether the same job may succeed if it is redriven


#: The failure of a job that was cancelled in the queue.
CANCELLED_WHILE_QUEUED = Failure(kind=FailureKind.CANCELLED, message="cancelled while it was queued", retryable=True)


class Usage(StoredModel):
    """Tokens, summed over all runs of the job."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    unreported: int = 0  #: runs with an answer whose tokens the server did not report

    @property
    def is_reported(self) -> bool:
        """False if the server reported no tokens for any run."""
        return self.total_tokens > 0 or not self.unreported

    @property
    def in_words(self) -> str:
        """The number of tokens as text, which says if the server did not report them."""
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


class ModelUsage(StoredModel):
    """The tokens that one model has read and written."""

    model: str | None = None  #: the server's name of the model; None: neither the server nor the job named one
    lane: str | None = None  #: the lane of the runs, or the service tier `priority`; None: they cost the full price
    usage: Usage = Usage()


class Timings(StoredModel):
    """When the job was created, started and finished, by Redis' clock."""

    created_at: AwareDatetime
    started_at: AwareDatetime | None = None  #: time of the first claim
    finished_at: AwareDatetime
    limited_s: float = 0.0  #: how long it waited for limits of the server's


class Citation(StoredModel):
    """A source of the answer; the text refers to it as footnote `[number]`."""

    number: int
    file_id: str | None = None
    name: str | None = None  #: the file's name, or the page's title
    url: str | None = None  #: of a web page
    quote: str | None = None  #: the cited passage, if the server sends it


class Artifact(StoredModel):
    """A file that the model made, downloaded to the artifact store. Links in the answer lead there."""

    file_id: str
    name: str  #: a valid name on all file systems
    uri: str | None = None  #: its path, or its URL in the bucket; None: it could not be downloaded
    media_type: str = "application/octet-stream"
    size: int = 0  #: bytes
    sha256: str | None = None
    error: str | None = None  #: why it could not be downloaded; it is still on the server then


class JobResult(StoredModel):
    """The result of a job that has ended, successful or not: check `state`, then read `text` or `failure`."""

    job_id: str
    state: JobState
    text: str = ""  #: the complete answer; citations are footnotes, links to files lead to the artifacts
    content: tuple[dict[str, JsonValue], ...] = ()  #: content blocks in order, as the server sent them
    parsed: JsonValue = None  #: the answer as JSON, if the job's `response_format` asks for JSON
    citations: tuple[Citation, ...] = ()
    files: tuple[Artifact, ...] = ()
    steps: tuple[dict[str, JsonValue], ...] = ()  #: the steps of the run, if the job set `include_steps`
    missing_steps: str | None = None  #: why `steps` may be incomplete; None: it is complete
    ignored_tools: tuple[str, ...] = ()  #: functions of the job that the server did not add to the run
    thread_id: str | None = None  #: the thread, if it was kept
    usage: Usage = Usage()
    model: str | None = None  #: the server's name of the model of the last run
    lane: str | None = None  #: the lane of all runs; None: some cost the full price
    service_tier: str | None = None  #: `priority` if a run used it: all tokens count at its price
    full_price: str | None = None  #: why runs cost the full price although the job has a lane or a service tier
    runs: int = 0  #: remote runs started
    attempts: int = 0
    calls: int = 0  #: HTTP calls made, retries included
    lost_threads: int = 0  #: threads that the server may have created but whose id never reached a worker
    lost_files: int = 0  #: files and vector stores, likewise
    lost_runs: int = 0  #: runs that are not deleted with their thread, likewise
    failure: Failure | None = None
    timings: Timings
    metadata: dict[str, str] = Field(default={})
    batch: str | None = None
    endpoint: str | None = None  #: the endpoint that ran it; None: an older version stored the result

    @classmethod
    def without_record(cls, job_id: str, state: JobState, failure: Failure, at: datetime) -> Self:
        """Returns the result of a job that has no record or an unreadable one."""
        return cls(job_id=job_id, state=state, failure=failure, timings=Timings(created_at=at, finished_at=at))

    @property
    def ok(self) -> bool:
        return self.state is JobState.SUCCEEDED

    @property
    def usage_by_model(self) -> tuple[ModelUsage, ...]:
        """Its tokens, all under the model of the last run."""
        return (
            (ModelUsage(model=self.model, lane=self.lane or self.service_tier, usage=self.usage),)
            if self.usage != Usage()
            else ()
        )


def add_up(parts: Iterable[ModelUsage]) -> tuple[ModelUsage, ...]:
    """Sums up the tokens by model, and by lane or service tier.

    Entries without tokens are left out, unless tokens were not reported.
    """
    sums: dict[tuple[str | None, str | None], Usage] = {}
    for part in parts:
        if part.usage != Usage():
            sums[part.model, part.lane] = sums.get((part.model, part.lane), Usage()) + part.usage
    return tuple(ModelUsage(model=model, lane=lane, usage=usage) for (model, lane), usage in sums.items())
