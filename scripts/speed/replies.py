"""The replies of the benchmark's server: the fields of real ones, with an answer of about 1 kB."""

from collections.abc import Mapping
from typing import Any

from speed.texts import text

ENDED_AT = "ended_at="
_TEXTS = [text(seed) for seed in range(100)]


def answer(ended_at: float) -> str:
    """Returns the text of an answer. It says when its run ended, so that a caller knows how late it has the result."""
    return f"{ENDED_AT}{ended_at:.3f} {_TEXTS[int(ended_at * 1000) % len(_TEXTS)]}"


def ended_at(text: str) -> float:
    """Returns the time in the text of an answer."""
    return float(text.removeprefix(ENDED_AT).split(" ", 1)[0])


def thread(thread_id: str, created_at: float) -> dict[str, Any]:
    return {"id": thread_id, "object": "thread", "created_at": int(created_at), "metadata": {}, "tool_resources": {}}


def run(
    run_id: str, thread_id: str, created_at: float, done_at: float | None, tag: Mapping[str, str]
) -> dict[str, Any]:
    """`done_at`: None while the run is in progress. `tag`: its metadata."""
    return {
        "id": run_id,
        "object": "thread.run",
        "created_at": int(created_at),
        "thread_id": thread_id,
        "assistant_id": "asst_emulator",
        "status": "in_progress" if done_at is None else "completed",
        "required_action": None,
        "last_error": None,
        "expires_at": int(created_at) + 600 if done_at is None else None,
        "started_at": int(created_at),
        "cancelled_at": None,
        "failed_at": None,
        "completed_at": None if done_at is None else int(done_at),
        "incomplete_details": None,
        "metadata": tag,
        "usage": None if done_at is None else {"prompt_tokens": 230, "completion_tokens": 240, "total_tokens": 470},
        "model": "emulator-1",
        "instructions": "",
        "tools": [],
        "temperature": 1.0,
        "top_p": 1.0,
        "max_prompt_tokens": None,
        "max_completion_tokens": None,
        "truncation_strategy": {"type": "auto", "last_messages": None},
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "response_format": "auto",
    }


def messages(thread_id: str, run_id: str, done_at: float) -> dict[str, Any]:
    message_id = run_id.replace("run_", "msg_")
    message = {
        "id": message_id,
        "object": "thread.message",
        "created_at": int(done_at),
        "thread_id": thread_id,
        "status": "completed",
        "incomplete_details": None,
        "completed_at": int(done_at),
        "incomplete_at": None,
        "role": "assistant",
        "content": [{"type": "text", "text": {"value": answer(done_at), "annotations": []}}],
        "assistant_id": "asst_emulator",
        "run_id": run_id,
        "attachments": [],
        "metadata": {},
    }
    return {"object": "list", "data": [message], "first_id": message_id, "last_id": message_id, "has_more": False}


def response(response_id: str, created_at: float, done_at: float | None, tag: Mapping[str, str]) -> dict[str, Any]:
    """`done_at`: None while the response is in progress. `tag`: its metadata."""
    return {
        "id": response_id,
        "object": "response",
        "created_at": int(created_at),
        "status": "in_progress" if done_at is None else "completed",
        "background": True,
        "completed_at": None if done_at is None else int(done_at),
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "model": "emulator-1",
        "output": [] if done_at is None else [_output(response_id, done_at)],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "conversation": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "auto",
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None if done_at is None else _USAGE,
        "user": None,
        "metadata": tag,
    }


_USAGE = {
    "input_tokens": 230,
    "output_tokens": 240,
    "total_tokens": 470,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 0},
}


def _output(response_id: str, done_at: float) -> dict[str, Any]:
    return {
        "id": response_id.replace("resp_", "msg_"),
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "text": answer(done_at), "annotations": [], "logprobs": []}],
    }


def completion(completion_id: str, created_at: float, done_at: float) -> dict[str, Any]:
    """`done_at`: when it is sent, which is when its run has ended."""
    message: dict[str, Any] = {"role": "assistant", "content": answer(done_at), "refusal": None, "annotations": []}
    return {
        "id": completion_id,
        "object": "chat.completion",
        "created": int(created_at),
        "model": "emulator-1",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 230, "completion_tokens": 240, "total_tokens": 470},
        "service_tier": "default",
        "system_fingerprint": None,
    }


def deleted(object_id: str, kind: str) -> dict[str, Any]:
    return {"id": object_id, "object": f"{kind}.deleted", "deleted": True}


def error(status: int, message: str) -> dict[str, Any]:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}
