"""Everything the emulator keeps, as the complete objects of the wire."""

import math
from typing import Any

from threadmill_emulator.files import File
from threadmill_emulator.messages import Message
from threadmill_emulator.runs import Run
from threadmill_emulator.threads import Assistant, Thread
from threadmill_emulator.tool_calls import Round, ToolCall

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
    return {
        "id": message.id,
        "object": "thread.message",
        "created_at": _creation(message.created, quirks),
        "thread_id": message.thread_id,
        "status": "incomplete" if incomplete else "completed",
        "incomplete_details": {"reason": incomplete} if incomplete else None,
        "completed_at": None if incomplete else seconds(message.created),
        "incomplete_at": seconds(message.created) if incomplete else None,
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
        "usage": run.usage,
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
    calls = [] if run.looks < run.script.blind_looks else run.rounds[-1].calls
    return {
        "type": "submit_tool_outputs",
        "submit_tool_outputs": {"tool_calls": [_call(call) for call in calls if call.output is None]},
    }


def _call(call: ToolCall, **output: str | None) -> Object:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments, **output},
    }


def step_objects(run: Run, messages: list[Message]) -> list[Object]:
    """A run's steps, oldest first: one per round of tool calls, one per message it wrote."""
    return [_tool_step(run, asked) for asked in run.rounds] + [_message_step(run, m) for m in messages]


def _tool_step(run: Run, asked: Round) -> Object:
    calls = [_call(call, output=call.output) for call in asked.calls]
    status = "completed" if asked.answered else run.status if run.is_terminal else "in_progress"
    details = {"type": "tool_calls", "tool_calls": calls}
    return _step(run, asked.step_id, asked.asked, status, asked.answered or run.ended, details)


def _message_step(run: Run, message: Message) -> Object:
    details = {"type": "message_creation", "message_creation": {"message_id": message.id}}
    id = message.id.replace("msg_", "step_")
    return _step(run, id, message.created, "completed", message.created, details)


def _step(run: Run, id: str, created: float, status: str, ended: float | None, details: Object) -> Object:
    return {
        "id": id,
        "object": "thread.run.step",
        "created_at": seconds(created),
        "assistant_id": run.assistant_id,
        "thread_id": run.thread_id,
        "run_id": run.id,
        "type": details["type"],
        "status": status,
        "step_details": details,
        "last_error": None,
        "expired_at": seconds(ended) if status == "expired" else None,
        "cancelled_at": seconds(ended) if status == "cancelled" else None,
        "failed_at": seconds(ended) if status == "failed" else None,
        "completed_at": seconds(ended) if status == "completed" else None,
        "metadata": {},
        "usage": run.usage if run.is_terminal else None,
    }
