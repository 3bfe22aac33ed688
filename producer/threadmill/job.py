"""The contract: what a caller asks for (PromptJob) and what comes back (JobResult).

Pydantic at the border: a job with an unknown field is refused before it is enqueued, yet a worker that
is older than the producer ignores fields it does not know (`PromptJob.read`).
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from threadmill.errors import InvalidJob

#: Characters a message may hold; openai/openai-openapi PR #219 raised the spec's limit to this.
MESSAGE_LIMIT = 256_000

#: The server's 16 metadata pairs less the one threadmill adds to find its own runs again.
METADATA_PAIRS = 15


class JobState(StrEnum):
    QUEUED = "queued"  #: waits for a worker
    RUNNING = "running"  #: a worker holds its lease
    SUCCEEDED = "succeeded"  #: the answer is in the result
    FAILED = "failed"  #: the reason is in the result's failure
    CANCELLED = "cancelled"  #: stopped at its owner's wish


TERMINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
OPEN = frozenset(JobState) - TERMINAL


class FailureKind(StrEnum):
    REJECTED = "rejected"  #: the job or its input is wrong; repeating it as it is cannot help
    UNAUTHORISED = "unauthorised"  #: the server refuses the key (401, 403), or the worker has none
    UNSUPPORTED = "unsupported"  #: the server does not speak the Assistants API (404 on its collections)
    QUOTA = "quota"  #: the account has no credit left; a human must act
    RATE_LIMITED = "rate_limited"  #: runs kept ending in rate_limit_exceeded, reruns included
    INVALID_PROMPT = "invalid_prompt"  #: the server will not answer this prompt
    SERVER_ERROR = "server_error"  #: runs kept failing on the server's side, reruns included
    INCOMPLETE = "incomplete"  #: a token limit cut the answer; the partial text is kept
    EMPTY_ANSWER = "empty_answer"  #: the run completed without a message
    EXPIRED = "expired"  #: the server gave runs up after their ten minutes, reruns included
    OVERDUE = "overdue"  #: our deadline passed; the remote run was cancelled
    STUCK = "stuck"  #: the run neither moved nor ended within its limits, reruns included
    CANCELLED_REMOTELY = "cancelled_remotely"  #: someone else cancelled the run
    CANCELLED = "cancelled"  #: the job's owner cancelled it
    TOOL_FAILED = "tool_failed"  #: the run asked for more rounds of tools than allowed
    UNREACHABLE = "unreachable"  #: the server gave no usable reply for too long
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"  #: its workers died or gave up on it too often


#: Fields by which a job is found; they say nothing of what it asks.
_NOT_CONTENT = {"key", "batch"}


class _Border(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Text = Annotated[str, StringConstraints(min_length=1, max_length=MESSAGE_LIMIT)]


class TextPart(_Border):
    type: Literal["text"] = "text"
    text: Text


class ImageUrl(_Border):
    #: An https URL; or a data URL, where the endpoint takes them (kind `davinci`).
    url: Annotated[str, StringConstraints(pattern=r"^(https?://|data:image/)")]
    detail: Literal["auto", "low", "high"] = "auto"


class ImagePart(_Border):
    type: Literal["image_url"] = "image_url"
    image_url: ImageUrl


class Message(_Border):
    role: Literal["user", "assistant"] = "user"
    content: Text | Annotated[tuple[TextPart | ImagePart, ...], Field(min_length=1)]


Metadata = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=64)],
        Annotated[str, StringConstraints(max_length=512)],
    ],
    Field(max_length=METADATA_PAIRS),
]


class PromptJob(_Border):
    """One prompt to be seen through to an answer. Only the input is required.

    `prompt` is short for one user message; with both, the prompt comes after `messages`.
    `timeout_s` bounds the execution in seconds, from the first claim; `deadline_at` is absolute and counts
    the time in the queue too. `key` is the idempotency key: the same key is the same job.
    Field limits: the Assistants API's own (POST /threads, /runs).
    """

    prompt: Text | None = None
    messages: tuple[Message, ...] = ()
    endpoint: str | None = None  #: name in the settings; default: `default_endpoint`
    assistant: str | None = None  #: remote id; default: the endpoint's
    instructions: Annotated[str, StringConstraints(max_length=256_000)] | None = None
    additional_instructions: str | None = None
    model: str | None = None
    #: Names from the settings' [tools], or tool definitions in the server's own form.
    tools: tuple[str | dict[str, JsonValue], ...] | None = Field(default=None, max_length=20)
    tool_choice: str | dict[str, JsonValue] | None = None
    response_format: str | dict[str, JsonValue] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    max_prompt_tokens: Annotated[int, Field(ge=256)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=256)] | None = None
    truncation: dict[str, JsonValue] | None = None  #: the server's `truncation_strategy`
    parallel_tool_calls: bool | None = None
    metadata: Metadata = {}
    key: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    timeout_s: Annotated[float, Field(gt=0)] = 1800
    deadline_at: AwareDatetime | None = None
    batch: Annotated[str, StringConstraints(pattern=r"^[\w.@+-]{1,200}$")] | None = None

    @field_validator("prompt")
    @classmethod
    def _not_blank(cls, prompt: str | None) -> str | None:
        if prompt is not None and not prompt.strip():
            raise ValueError("is blank; there is nothing to ask")
        return prompt

    @model_validator(mode="after")
    def _has_input(self) -> Self:
        if self.prompt is None and not self.messages:
            raise ValueError("a job needs `prompt` or `messages`")
        return self

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """A job from outside; raises InvalidJob, which names each wrong field."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise InvalidJob(explain(error)) from None

    @classmethod
    def read(cls, data: str) -> Self:
        """A job from its record; fields of a newer producer are ignored."""
        return cls.model_validate_json(data, extra="ignore")

    @property
    def conversation(self) -> tuple[Message, ...]:
        """All messages of the job, in order."""
        last = (Message(content=self.prompt),) if self.prompt is not None else ()
        return self.messages + last

    @property
    def digest(self) -> str:
        """Fingerprint of the content: what must not differ between jobs of one idempotency key."""
        content = self.model_dump_json(exclude=_NOT_CONTENT, exclude_defaults=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def differences(self, other: Self) -> dict[str, tuple[object, object]]:
        """The content fields in which the two differ, with both values."""
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in type(self).model_fields}
        return {name: pair for name, pair in pairs.items() if name not in _NOT_CONTENT and pair[0] != pair[1]}


class Failure(_Border):
    """Why a job did not succeed: part of the result, not an exception."""

    kind: FailureKind
    message: str
    code: str | None = None  #: the server's own code, where it gave one
    retryable: bool = False  #: whether the same job may succeed when sent again


class Usage(_Border):
    """Tokens, summed over all runs of the job."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            total_tokens=self.total_tokens + other.total_tokens,
        )


class Timings(_Border):
    """Moments of the job; the first two by the clock of Redis, the end by that of whoever ended it."""

    created_at: datetime
    started_at: datetime | None = None  #: first claim
    finished_at: datetime


class JobResult(BaseModel):
    """What became of a job. A failed run is a result too: look at `state`, then `text` or `failure`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    job_id: str
    state: JobState
    text: str = ""
    content: tuple[dict[str, JsonValue], ...] = ()  #: content blocks in order, as the server sent them
    usage: Usage = Usage()
    runs: int = 0  #: remote runs started
    attempts: int = 0
    calls: int = 0  #: HTTP calls made, retries included
    lost_threads: int = 0  #: threads the server may have made without our learning their id
    failure: Failure | None = None
    timings: Timings
    metadata: dict[str, str] = {}
    batch: str | None = None

    @property
    def ok(self) -> bool:
        return self.state is JobState.SUCCEEDED


def explain(error: ValidationError) -> str:
    """A validation error as one readable line per field."""
    lines = []
    for problem in error.errors(include_url=False, include_context=False):
        where = ".".join(str(step) for step in problem["loc"]) or "job"
        if problem["type"] == "extra_forbidden":
            lines.append(f"unknown field `{where}`")
        else:
            lines.append(f"`{where}`: {problem['msg'].removeprefix('Value error, ')}")
    return "; ".join(lines)
