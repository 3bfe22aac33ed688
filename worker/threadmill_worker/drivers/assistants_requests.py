"""What we send to Assistants servers: the bodies of messages and runs, and the mark they carry."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from threadmill.job import PromptJob
from threadmill.message import Message

#: Metadata `threadmill: JOB/WHAT`: by it a run or message is found again whose creation reply was lost.
_MARK = "threadmill"


def message_body(job_id: str, conversation: Sequence[Message], index: int) -> dict[str, Any]:
    """The body of POST /messages for one message of the job."""
    message = conversation[index].model_dump(mode="json", exclude_none=True)
    return {**message, "metadata": _mark(job_id, f"message-{index}")}


def run_body(
    job_id: str,
    job: PromptJob,
    ordinal: int,
    assistant: str,
    tools: list[dict[str, Any]] | None,
    time_note: str | None,
    now: datetime,
) -> dict[str, Any]:
    """The body of POST /runs: only what the job asks for. `time_note`: strftime text, added to the instructions."""
    notes = [job.additional_instructions, time_note and now.strftime(time_note)]
    fields = {
        "assistant_id": assistant,
        "instructions": job.instructions,
        "additional_instructions": "\n".join(note for note in notes if note) or None,
        "model": job.model,
        "tools": tools,
        "tool_choice": job.tool_choice,
        "response_format": job.response_format,
        "temperature": job.temperature,
        "top_p": job.top_p,
        "max_prompt_tokens": job.max_prompt_tokens,
        "max_completion_tokens": job.max_completion_tokens,
        "truncation_strategy": job.truncation,
        "parallel_tool_calls": job.parallel_tool_calls,
        "metadata": job.metadata | _mark(job_id, f"run-{ordinal}"),
    }
    return {name: value for name, value in fields.items() if value is not None}


def is_marked(thing: dict[str, Any], job_id: str, what: str) -> bool:
    """Whether a run or message of the server is the job's own: `run-ORDINAL` or `message-INDEX`."""
    metadata = thing.get("metadata")
    return isinstance(metadata, dict) and _mark(job_id, what).items() <= metadata.items()


def _mark(job_id: str, what: str) -> dict[str, str]:
    return {_MARK: f"{job_id}/{what}"}
