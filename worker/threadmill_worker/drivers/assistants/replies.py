"""Reads the replies of Assistants servers as observations. Missing and odd fields are tolerated: servers differ."""

import json
from typing import Any

from threadmill.job.result import Usage
from threadmill_worker.answer.annotations import text_of
from threadmill_worker.drivers.replies.error_bodies import error_in
from threadmill_worker.drivers.replies.json import as_dict, as_number, as_word, own_tools, parse_id, took_s
from threadmill_worker.lifecycle.observations import RunObservation, ToolCall


def parse_run(body: dict[str, Any], poll_after_ms: str | None = None) -> RunObservation:
    """Returns the run. Raises NotTheApi if it has no id."""
    error = error_in(body.get("last_error"))  # OpenOpenAI sends a text
    return RunObservation(
        id=parse_id(body),
        status=str(body.get("status")),
        calls=_calls(body) if body.get("status") == "requires_action" else (),
        expires_at=as_number(body.get("expires_at")),
        created_at=as_number(body.get("created_at")),
        error_code=error.code,
        error_type=error.type,
        error_message=error.message,
        incomplete_reason=as_word(as_dict(body.get("incomplete_details")).get("reason")),
        usage=_usage(body.get("usage")),
        model=as_word(body.get("model")) or None,
        functions=_functions(body.get("tools")),
        own_tools=own_tools(body.get("tools")),
        poll_after_s=_seconds(poll_after_ms),
        took_s=took_s(body),
    )


def store_of(thread: dict[str, Any]) -> str | None:
    """Returns the vector store of a thread, which has at most one."""
    ids = as_dict(as_dict(thread.get("tool_resources")).get("file_search")).get("vector_store_ids")
    return str(ids[0]) if isinstance(ids, list) and ids else None


def parse_step(step: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the tool calls of a run step in the form of a result's `steps`. A step that wrote a message has none."""
    calls = as_dict(step.get("step_details")).get("tool_calls")
    return [_parse_call(as_dict(call)) for call in calls] if isinstance(calls, list) else []


def _parse_call(call: dict[str, Any]) -> dict[str, Any]:
    kind = str(call.get("type"))
    details = as_dict(call.get(kind))
    match kind:
        case "code_interpreter":
            outputs = [as_dict(output) for output in details.get("outputs") or []]
            logs = [str(output.get("logs")) for output in outputs if output.get("type") == "logs"]
            images = [
                as_dict(output.get("image")).get("file_id") for output in outputs if output.get("type") == "image"
            ]
            return {"type": kind, "input": str(details.get("input") or ""), "logs": "\n".join(logs), "images": images}
        case "file_search":
            return {"type": kind, "results": [_parse_hit(as_dict(hit)) for hit in details.get("results") or []]}
        case "function":
            return {"type": kind} | {name: details.get(name) for name in ("name", "arguments", "output")}
        case _:
            return {"type": kind, **details}


def _parse_hit(hit: dict[str, Any]) -> dict[str, Any]:
    passages = [str(as_dict(part).get("text") or "") for part in hit.get("content") or []]
    quote = "\n".join(passages) or None
    return {"file_id": hit.get("file_id"), "name": hit.get("file_name"), "score": hit.get("score"), "quote": quote}


def blocks_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the content blocks of a message. A string becomes a text block."""
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": {"value": content, "annotations": []}}]
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def parse_delta(data: bytes) -> tuple[str, str]:
    """Returns the id of a message and a piece of its text. Data that is no delta has no text."""
    try:
        body = json.loads(data)
        return str(body.get("id")), "".join(map(text_of, body["delta"]["content"]))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return "", ""


def text_in(message: dict[str, Any]) -> str:
    """Returns the text of a message, the sum of its deltas."""
    return "".join(map(text_of, blocks_of(message)))


def _calls(body: dict[str, Any]) -> tuple[ToolCall, ...]:
    """Returns the tool calls that a run waits for; none while the server is still writing them."""
    asked = as_dict(as_dict(body.get("required_action")).get("submit_tool_outputs")).get("tool_calls")
    calls = [as_dict(call) for call in asked] if isinstance(asked, list) else []
    return tuple(
        ToolCall(str(call["id"]), str(function.get("name")), str(function.get("arguments") or ""))
        for call in calls
        for function in [as_dict(call.get("function"))]
        if call.get("id")
    )


def _usage(usage: Any) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    return Usage(**{name: int(as_number(usage.get(name)) or 0) for name in names})


def _functions(tools: Any) -> tuple[str, ...] | None:
    if not isinstance(tools, list):
        return None
    functions = [as_dict(as_dict(tool).get("function")) for tool in tools]
    return tuple(str(function["name"]) for function in functions if "name" in function)


def _seconds(milliseconds: str | None) -> float | None:
    try:
        return float(milliseconds) / 1000 if milliseconds else None
    except ValueError:
        return None
