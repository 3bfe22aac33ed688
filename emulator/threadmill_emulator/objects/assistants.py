"""The JSON objects of the Assistants API."""

import math
from typing import Any

from threadmill_emulator.content.messages import Message
from threadmill_emulator.runs.run import Run
from threadmill_emulator.runs.threads import Assistant, Thread
from threadmill_emulator.runs.tool_calls import ToolCall
from threadmill_emulator.storage.files import File

Object = dict[str, Any]


def seconds(moment: float | None) -> int | None:
    return None if moment is None else int(moment)


def deleted(id: str, kind: str) -> Object:
    return {"id": id, "object": kind, "deleted": True}


def assistant_object(assistant: Assistant) -> Object:
    return {
        "id": assistant.id,
        "object": "assistant",
        "created_at": seconds(assistant.created),
        **assistant.settings,
    }


def thread_object(thread: Thread) -> Object:
    return {
        "id": thread.id,
        "object": "thread",
        "created_at": seconds(thread.created),
        "metadata": thread.metadata,
        "tool_resources": thread.tool_resources,
    }


def file_object(file: File) -> Object:
    expiry = {} if file.expires is None else {"expires_at": file.expires}
    return {
        "id": file.id,
        "object": "file",
        "bytes": len(file.data),
        "created_at": seconds(file.created),
        **expiry,
        "filename": file.name,
        "purpose": file.purpose,
        "status": "processed",
    }


def message_object(message: Message, quirks: frozenset[str] = frozenset()) -> Object:
    incomplete = message.incomplete_reason
    ended = seconds(message.created if message.ended is None else message.ended)
    return {
        "id": message.id,
        "object": "thread.message",
        "created_at": _creation(message.created, quirks),
        "thread_id": message.thread_id,
        "status": "incomplete" if incomplete else "completed",
        "incomplete_details": {"reason": incomplete} if incomplete else None,
        "completed_at": None if incomplete else ended,
        "incomplete_at": ended if incomplete else None,
        "role": message.role,
        "content": message.content,
        "assistant_id": message.assistant_id,
        "run_id": None if "no_run_filter" in quirks else message.run_id,
        "attachments": message.attachments,
        "metadata": message.metadata,
    }


def run_object(run: Run) -> Object:
    quirks, script = run.script.quirks, run.script
    error = None
    if run.status == "failed" and script.error:
        code, text = script.error
        error = text if "bare_error" in quirks else {"code": code, "message": text}
    shows_expiry = run.status not in ("completed", "incomplete") and "no_expires_at" not in quirks
    whole = {
        "id": run.id,
        "object": "thread.run",
        "created_at": _creation(run.created, quirks),
        "thread_id": run.thread_id,
        "assistant_id": run.assistant_id,
        "status": run.status,
        "required_action": _required_action(run),
        "last_error": error,
        "expires_at": math.ceil(run.shown_expiry) if shows_expiry else None,
        "started_at": seconds(run.started),
        "cancelled_at": _ended(run, "cancelled"),
        "failed_at": _ended(run, "failed"),
        "completed_at": _ended(run, "completed"),
        "incomplete_details": {"reason": script.reason} if run.status == "incomplete" else None,
        "metadata": run.metadata,
        "usage": None if "no_usage" in quirks else run.usage,
        **run.settings,
    }
    if "sparse" in quirks:
        return {key: value for key, value in whole.items() if value not in (None, [], {}, "")}
    return whole


def _creation(moment: float, quirks: frozenset[str]) -> int | float:
    return float(int(moment)) if "float_times" in quirks else int(moment)


def _ended(run: Run, status: str) -> int | None:
    return seconds(run.ended) if run.status == status else None


def _required_action(run: Run) -> Object | None:
    if run.status != "requires_action":
        answered = "empty_required_action" in run.script.quirks and run.rounds
        return {} if answered else None
    calls = [] if run.polls < run.script.blind_polls else run.rounds[-1].calls
    return {
        "type": "submit_tool_outputs",
        "submit_tool_outputs": {"tool_calls": [call_object(call) for call in calls if call.output is None]},
    }


def call_object(call: ToolCall, **output: str | None) -> Object:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments, **output},
    }
