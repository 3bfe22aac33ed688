"""A job as a response: the Response object of OpenAI's API. PURE."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from threadmill.job.prompt import PromptJob
from threadmill.job.result import FailureKind, JobResult, JobState, Usage
from threadmill.store.records.job import JobRecord
from threadmill_gateway.openai.answer import annotations, answer_text, is_filtered, is_incomplete, is_refusal, reported
from threadmill_gateway.openai.identifiers import MESSAGE, RESPONSE, id_of
from threadmill_gateway.openai.job_fields import tier_shown
from threadmill_gateway.openai.tools import choice_object, flat, tool_objects

#: The status of a response whose job has this state; a failed job may also be incomplete.
_STATUSES = {
    JobState.QUEUED: "queued",
    JobState.RUNNING: "in_progress",
    JobState.SUCCEEDED: "completed",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}

#: The codes that OpenAI has for failures; all others are `server_error`.
_CODES = {
    FailureKind.INVALID_PROMPT: "invalid_prompt",
    FailureKind.QUOTA: "rate_limit_exceeded",
    FailureKind.RATE_LIMITED: "rate_limit_exceeded",
}

Object = dict[str, Any]


@dataclass(frozen=True)
class Shown:
    """A job with what a response shows besides its record. `model`: the name that requests have for it."""

    record: JobRecord
    model: str
    previous_response_id: str | None = None  #: it is known only to the request that created the job

    @property
    def id(self) -> str:
        return id_of(RESPONSE, self.record.id)

    @property
    def message_id(self) -> str:
        """The id of its only message."""
        return id_of(MESSAGE, self.record.id)


def response_object(shown: Shown, status: str | None = None) -> Object:
    """Returns the response. `status`: an earlier one, for the events of a stream; then it has no output."""
    record, job = shown.record, shown.record.job
    result = record.result if status is None else None
    status = status or status_of(record)
    return {
        "id": shown.id,
        "object": "response",
        "created_at": _seconds(record.created_at),
        "completed_at": _seconds(record.finished_at) if status == "completed" and record.finished_at else None,
        "status": status,
        "background": True,  # every response is a job, which continues whoever waits for it
        "error": _error(result) if result and status == "failed" else None,
        "incomplete_details": {"reason": _reason(result)} if result and status == "incomplete" else None,
        "model": shown.model,
        "previous_response_id": shown.previous_response_id,
        "output": output_of(shown, result) if result else [],
        "usage": _usage(result.usage) if result and reported(result.usage) else None,
        **_asked(job),
        "service_tier": tier_shown(job, result),
    }


def status_of(record: JobRecord) -> str:
    """Returns the status of a response."""
    if record.state is JobState.FAILED and record.result and is_incomplete(record.result.failure):
        return "incomplete"
    return _STATUSES[record.state]


def output_of(shown: Shown, result: JobResult) -> list[Object]:
    """Returns the output of a response: one message, or nothing if there is no answer."""
    if not result.text:
        return []
    status = "completed" if result.state is JobState.SUCCEEDED else "incomplete"
    return [message_object(shown.message_id, status, content_of(shown.record.job, result))]


def message_object(id: str, status: str, *content: Object) -> Object:
    """Returns an output message."""
    return {"id": id, "type": "message", "role": "assistant", "status": status, "content": list(content)}


def content_of(job: PromptJob, result: JobResult) -> Object:
    """Returns the answer as the content of its message."""
    if is_refusal(result):
        return {"type": "refusal", "refusal": result.text}
    text = answer_text(job, result)
    return text_object(text, annotations(text, result.citations))


def text_object(text: str, notes: list[Object] | None = None) -> Object:
    """Returns a text as the content of a message."""
    return {"type": "output_text", "text": text, "annotations": notes or [], "logprobs": []}


def _asked(job: PromptJob) -> Object:
    """Returns what the request asked for."""
    return {
        "instructions": job.instructions,
        "max_output_tokens": job.max_completion_tokens,
        "metadata": job.metadata,
        "parallel_tool_calls": job.parallel_tool_calls is not False,
        "reasoning": {"effort": None, "summary": None},
        "store": job.keep_thread,
        "temperature": job.temperature,
        "text": {"format": _format(job.response_format)},
        "tool_choice": choice_object(job.tool_choice),
        "tools": tool_objects(job.tools),
        "top_p": job.top_p,
        "truncation": "auto" if job.truncation else "disabled",
    }


def _format(form: Any) -> Object:
    return flat(form, "json_schema") if isinstance(form, dict) else {"type": "text"}


def _error(result: JobResult) -> Object:
    failure = result.failure
    if failure is None:
        return {"code": "server_error", "message": "the job failed"}
    return {"code": _CODES.get(failure.kind, "server_error"), "message": f"{failure.kind}: {failure.message}"}


def _reason(result: JobResult) -> str:
    return "content_filter" if is_filtered(result.failure) else "max_output_tokens"


def _usage(usage: Usage) -> Object:
    """Returns the tokens; results have no details of them."""
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.total_tokens,
    }


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def deleted_object(id: str) -> Object:
    """Returns what a deletion replies."""
    return {"id": id, "object": "response", "deleted": True}
