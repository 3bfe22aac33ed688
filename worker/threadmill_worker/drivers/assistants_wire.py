"""Replies of Assistants servers as views. Tolerant: compatible servers leave fields out or fill them oddly."""

import json
from typing import Any

from threadmill.job import Usage
from threadmill_worker.views import RunView, ToolCall


class NotTheApi(Exception):
    """A reply with a good status that is none of the API's: a gateway's page, a cut body, a missing id."""


def parse_object(text: str) -> dict[str, Any]:
    """A JSON object; raises NotTheApi."""
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise NotTheApi(f"the reply is not the API's: {text.strip()[:200]!r}")
    return body


def parse_id(body: dict[str, Any]) -> str:
    """The object's id; raises NotTheApi."""
    if not isinstance(body.get("id"), str) or not body["id"]:
        raise NotTheApi(f"the reply has no id: {json.dumps(body)[:200]}")
    return str(body["id"])


def parse_run(body: dict[str, Any], poll_after_ms: str | None = None) -> RunView:
    """A run; raises NotTheApi if it has no id."""
    error = body.get("last_error")
    if isinstance(error, str):  # OpenOpenAI
        error = {"message": error}
    error = error if isinstance(error, dict) else {}
    details = body.get("incomplete_details")
    return RunView(
        id=parse_id(body),
        status=str(body.get("status")),
        calls=_calls(body) if body.get("status") == "requires_action" else (),
        expires_at=_number(body.get("expires_at")),
        error_code=error.get("code"),
        error_message=str(error.get("message") or ""),
        incomplete_reason=details.get("reason") if isinstance(details, dict) else None,
        usage=_usage(body.get("usage")),
        poll_after_s=_seconds(poll_after_ms),
    )


def is_answer(message: dict[str, Any], run_id: str) -> bool:
    """Whether the run wrote the message. Some servers ignore the run_id filter, or name no run."""
    return message.get("role") == "assistant" and message.get("run_id") in (run_id, None)


def blocks_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    """A message's content blocks, as sent; a plain string becomes a text block."""
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": {"value": content, "annotations": []}}]
    return [block for block in content or [] if isinstance(block, dict)]


def _calls(body: dict[str, Any]) -> tuple[ToolCall, ...]:
    """The tool calls a run waits for; none while the server is still writing them."""
    action = body.get("required_action") or {}
    calls = (action.get("submit_tool_outputs") or {}).get("tool_calls") or ()
    return tuple(
        ToolCall(call["id"], str(function.get("name")), function.get("arguments") or "")
        for call in calls
        for function in [call.get("function") or {}]
    )


def _usage(usage: Any) -> Usage | None:
    return Usage(**{name: usage.get(name) or 0 for name in Usage.model_fields}) if isinstance(usage, dict) else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _seconds(milliseconds: str | None) -> float | None:
    try:
        return float(milliseconds) / 1000 if milliseconds else None
    except ValueError:
        return None
