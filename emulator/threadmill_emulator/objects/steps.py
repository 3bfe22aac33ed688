"""The JSON objects of run steps: function calls, calls of the server's own tools, messages."""

from collections.abc import Iterable

from threadmill_emulator.content.messages import Message
from threadmill_emulator.objects.assistants import Object, call_object, seconds
from threadmill_emulator.runs.run import Run
from threadmill_emulator.runs.tool_calls import Round
from threadmill_emulator.runs.work import ServerStep

#: The only value of the query parameter `include[]`.
CONTENT = "step_details.tool_calls[*].file_search.results[*].content"


def step_objects(run: Run, messages: Iterable[Message], now: float, with_content: bool = False) -> list[Object]:
    """Returns the steps of a run that have started, oldest first. `messages`: those on the thread."""
    cut_off = [run.coming] if run.coming and run.halted is not None else []
    steps = [round_step(run, asked) for asked in run.rounds + cut_off]
    if run.work:
        stopped = now if run.halted is None else run.halted
        begun = [step for step in run.work.steps if step.began <= stopped]
        steps += [server_step(run, step, stopped, with_content) for step in begun]
    return steps + [message_step(run, message) for message in messages]


def round_step(run: Run, asked: Round) -> Object:
    calls = [call_object(call, output=call.output) for call in asked.calls]
    ended = run.ended if asked.answered is None else asked.answered
    status = "completed" if asked.answered is not None else _status(run)
    if run.status in ("completed", "incomplete") and asked.answered is None:
        status = "cancelled"  # a cancelled run may still complete, without these calls
    return _step(run, asked.step_id, asked.begun, status, ended, {"type": "tool_calls", "tool_calls": calls})


def server_step(run: Run, step: ServerStep, now: float, with_content: bool) -> Object:
    done = step.ended <= now or run.status in ("completed", "incomplete")
    call = step.call if done else {**step.call, step.call["type"]: _nothing_yet(step.call["type"])}
    details = {"type": "tool_calls", "tool_calls": [call if with_content else _without_content(call)]}
    status = "completed" if done else _status(run)
    return _step(run, step.id, step.began, status, step.ended if done else run.ended, details)


def message_step(run: Run, message: Message, open: bool = False) -> Object:
    """`open`: the message is still being written."""
    details = {"type": "message_creation", "message_creation": {"message_id": message.id}}
    id = message.id.replace("msg_", "step_")
    cut_off = message.incomplete_reason not in (None, "max_tokens")
    status = "in_progress" if open else _status(run) if cut_off else "completed"
    return _step(run, id, message.created, status, message.ended or message.created, details)


def _status(run: Run) -> str:
    """Returns the status of a step that has not completed."""
    return run.status if run.status in ("failed", "cancelled", "expired") else "in_progress"


def _nothing_yet(tool: str) -> Object:
    return {"input": "", "outputs": []} if tool == "code_interpreter" else {}


def _without_content(call: Object) -> Object:
    results = call.get("file_search", {}).get("results")
    if not results:
        return call
    bare = [{key: value for key, value in result.items() if key != "content"} for result in results]
    return {**call, "file_search": {**call["file_search"], "results": bare}}


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
