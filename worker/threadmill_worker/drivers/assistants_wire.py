"""Replies of Assistants servers as views. Tolerant: compatible servers leave fields out or fill them oddly."""

import json
import math
from typing import Any

from threadmill.redaction import redact, redact_parsed
from threadmill.result import Usage
from threadmill_worker.answer.annotations import text_of
from threadmill_worker.answer.json_text import TooDeep, parse
from threadmill_worker.drivers.error_bodies import error_in
from threadmill_worker.lifecycle.observations import RunView, ToolCall


class NotTheApi(Exception):
    """A reply with a good status that is none of the API's: a gateway's page, a cut body, a missing id."""


class UnusableReply(NotTheApi):
    """A reply that is too large or nested too deeply to be read, however often the server is asked."""


def parse_object(text: str) -> dict[str, Any]:
    """A JSON object, without secrets that its server repeats. Raises NotTheApi, UnusableReply.

    Lone surrogates, which no UTF-8 text could hold, become '?'.
    """
    try:
        body = parse(text)
        if "\\ud" in text.lower():
            body = json.loads(json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"))
    except TooDeep as error:
        raise UnusableReply(f"the server's reply cannot be read: {error}") from None
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise NotTheApi(f"the reply is not the API's: {redact(text.strip())[:200]!r}")
    return redact_parsed(body, text)


def parse_id(body: dict[str, Any]) -> str:
    """The object's id; raises NotTheApi."""
    if not isinstance(body.get("id"), str) or not body["id"]:
        raise NotTheApi(f"the reply has no id: {json.dumps(body)[:200]}")
    return str(body["id"])


def parse_run(body: dict[str, Any], poll_after_ms: str | None = None) -> RunView:
    """A run; raises NotTheApi if it has no id."""
    error = error_in(body.get("last_error"))  # OpenOpenAI's is a bare text
    return RunView(
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
    )


def store_of(thread: dict[str, Any]) -> str | None:
    """The vector store of a thread, which has one at most."""
    ids = as_dict(as_dict(thread.get("tool_resources")).get("file_search")).get("vector_store_ids")
    return str(ids[0]) if isinstance(ids, list) and ids else None


def parse_step(step: dict[str, Any]) -> list[dict[str, Any]]:
    """The tool calls of a run step, in words of ours; a step that wrote a message has none."""
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
    """A message's content blocks, as sent; a plain string becomes a text block."""
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": {"value": content, "annotations": []}}]
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def parse_delta(data: bytes) -> tuple[str, str]:
    """A message's delta as the message's id and a piece of its text; what is no delta holds no text."""
    try:
        body = json.loads(data)
        return str(body.get("id")), "".join(map(text_of, body["delta"]["content"]))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return "", ""


def text_in(message: dict[str, Any]) -> str:
    """All the text of a message, as its deltas add up to."""
    return "".join(map(text_of, blocks_of(message)))


def _calls(body: dict[str, Any]) -> tuple[ToolCall, ...]:
    """The tool calls a run waits for; none while the server is still writing them."""
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


#: Of tools that open-assistant-api calls as version 1 of the API did.
_NAMES_TODAY = {"retrieval": "file_search"}


def own_tools(tools: Any) -> frozenset[str] | None:
    """The types of a run's tools. No tools at all say nothing: some servers show none, whatever a run has."""
    if not isinstance(tools, list) or not tools:
        return None
    types = (str(as_dict(tool).get("type")) for tool in tools)
    return frozenset(_NAMES_TODAY.get(kind, kind) for kind in types)


def as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def as_word(value: Any) -> str | None:
    return None if value is None else str(value)


def as_number(value: Any) -> float | None:
    """A finite number: Python's JSON knows NaN, Infinity, and integers no float can hold."""
    try:
        number = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _seconds(milliseconds: str | None) -> float | None:
    try:
        return float(milliseconds) / 1000 if milliseconds else None
    except ValueError:
        return None
