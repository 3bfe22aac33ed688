"""A job as a chat completion: the whole one, and its chunks while the answer is written. PURE."""

from collections.abc import Iterator
from typing import Any

from threadmill.job.events.event import Event
from threadmill.job.result import FailureKind, JobResult, JobState, Usage
from threadmill.store.records.job import JobRecord
from threadmill_gateway.openai.answer import annotations, answer_text, is_filtered, is_incomplete, is_refusal, reported
from threadmill_gateway.openai.answer_stream import AnswerText
from threadmill_gateway.openai.errors import INVALID, ApiError
from threadmill_gateway.openai.identifiers import COMPLETION, id_of
from threadmill_gateway.openai.job_fields import tier_shown

Object = dict[str, Any]

#: The status and the type of the error for a job that failed; all others are 500 and `server_error`.
_FAILURES = {
    FailureKind.REJECTED: (400, INVALID),
    FailureKind.INVALID_PROMPT: (400, INVALID),
    FailureKind.UNSUPPORTED: (400, INVALID),
    FailureKind.CANCELLED: (409, INVALID),
    FailureKind.QUOTA: (429, "insufficient_quota"),
    FailureKind.OVERDUE: (504, "server_error"),
    FailureKind.UNREACHABLE: (502, "server_error"),
}


def completion_object(record: JobRecord, result: JobResult, model: str) -> Object:
    """Returns the completion of a job that has ended. Raises ApiError if it has no answer."""
    if failure := failure_of(result):
        raise failure
    return {
        **_head(record, model, "chat.completion", result),
        "choices": [
            {
                "index": 0,
                "message": _message(record, result),
                "logprobs": None,
                "finish_reason": _finish_reason(result),
            }
        ],
        "usage": _usage(result.usage),
    }


def failure_of(result: JobResult) -> ApiError | None:
    """Returns the error for a job without an answer; None if it has one, be it a part. SDKs do not repeat it."""
    failure = result.failure
    if result.state is JobState.SUCCEEDED or is_incomplete(failure):
        return None
    kind = failure.kind if failure else FailureKind.INTERNAL_ERROR
    status, type = _FAILURES.get(kind, (500, "server_error"))
    message = f"The job failed ({kind}): {failure.message if failure else 'for an unknown reason'}"
    return ApiError(status, message, type=type, code=str(kind), headers={"x-should-retry": "false"})


class Chunks:
    """Yields the chunks of one completion. Call `begin`, `take` with each event of the job, and `end`."""

    def __init__(self, record: JobRecord, model: str, *, include_usage: bool) -> None:
        self._head = _head(record, model, "chat.completion.chunk")
        self._include_usage = include_usage
        self._answer = AnswerText()

    def begin(self) -> Iterator[Object]:
        yield self._chunk({"role": "assistant", "content": "", "refusal": None})

    def take(self, event: Event) -> Iterator[Object]:
        """Yields the chunks that an event of the job brings."""
        if piece := self._answer.take(event):
            yield self._chunk({"content": piece})

    def end(self, record: JobRecord, result: JobResult) -> Iterator[Object]:
        """Yields the last chunks. Raises ApiError if the job has no answer."""
        if failure := failure_of(result):
            raise failure
        message = _message(record, result)
        if message["refusal"] and not self._answer.text:
            yield self._chunk({"refusal": message["refusal"]})
        elif message["content"] and (piece := self._answer.rest(message["content"])):
            yield self._chunk({"content": piece})
        self._head["service_tier"] = tier_shown(record.job, result)
        yield self._chunk({}, _finish_reason(result))
        if self._include_usage:
            yield {**self._head, "choices": [], "usage": _usage(result.usage)}

    def _chunk(self, delta: Object, finish_reason: str | None = None) -> Object:
        usage = {"usage": None} if self._include_usage else {}
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**self._head, "choices": [choice], **usage}


def _head(record: JobRecord, model: str, kind: str, result: JobResult | None = None) -> Object:
    return {
        "id": id_of(COMPLETION, record.id),
        "object": kind,
        "created": int(record.created_at.timestamp()),
        "model": model,
        "service_tier": tier_shown(record.job, result),
    }


def _message(record: JobRecord, result: JobResult) -> Object:
    message: Object = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
    if is_refusal(result):
        return message | {"refusal": result.text}
    text = answer_text(record.job, result)
    return message | {"content": text, "annotations": [*_pages(text, result)]}


def _pages(text: str, result: JobResult) -> Iterator[Object]:
    """Yields the cited pages; completions have no annotations of files."""
    for note in annotations(text, result.citations):
        if note.pop("type") == "url_citation":
            yield {"type": "url_citation", "url_citation": note}


def _finish_reason(result: JobResult) -> str:
    if not is_incomplete(result.failure):
        return "stop"
    return "content_filter" if is_filtered(result.failure) else "length"


def _usage(usage: Usage) -> Object | None:
    if not reported(usage):
        return None
    return {name: getattr(usage, name) for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
