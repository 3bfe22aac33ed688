"""The stream events of a run, each with the time when it is due.

The run reports each change of status. The events between two changes, mostly deltas, are scheduled when the run starts
a stretch of work, and withdrawn if it stops early.
"""

from collections.abc import Callable

from threadmill_emulator.content.deltas import pieces
from threadmill_emulator.content.frames import Frames
from threadmill_emulator.content.messages import Message
from threadmill_emulator.errors.api_error import ApiError
from threadmill_emulator.objects.assistants import Object, call_object, message_object, run_object
from threadmill_emulator.objects.steps import message_step, round_step, server_step
from threadmill_emulator.runs.run import Run
from threadmill_emulator.runs.tool_calls import Round
from threadmill_emulator.runs.work import ServerStep, Work, timed_deltas

STATUSES = frozenset({"queued", "in_progress", "requires_action", "cancelling"})


class Transcript(Frames):
    """Holds events until they are due. `plan` returns the work of the last stretch."""

    closing = b"event: done\ndata: [DONE]\n\n"

    def __init__(self, run: Run, plan: Callable[[], Work], with_content: bool = False) -> None:
        super().__init__()
        self._run, self._plan, self._with_content = run, plan, with_content
        self._withdrawn: list[tuple[float, str, str]] = []  #: withdrawn while the run is being cancelled
        self._answer_scheduled = False
        self._since = 0.0  #: time of the last change; its events are never withdrawn

    def changed(self, at: float) -> None:
        run = self._run
        at = self._since = max(at, self._since)
        later = self._withdraw_after(at)
        match run.status:
            case "completed" | "incomplete":
                if run.coming:  # it was cancelled while it wrote these calls, but ended normally
                    self._step_ended(at, round_step(run, run.coming))
                else:
                    self._waiting.extend((at, event, data) for _, event, data in self._withdrawn + later)
                if not self._answer_scheduled:
                    self._schedule_answer(self._plan())
                self._end(at)
            case "failed" | "cancelled" | "expired":
                self._break_off(at)
                self._end(at)
            case status:
                self._withdrawn += later
                self.schedule(at, f"thread.run.{status if status in STATUSES else 'in_progress'}", run_object(run))
                if run.coming and status == "in_progress":
                    self._schedule_calls(run.coming, *run.stretch)
                elif run.is_answering:
                    self._schedule_answer(self._plan())
                self.closed = status == "requires_action"
                if self.closed and "stream_late_completed" in run.script.quirks:
                    self.schedule(at, "thread.run.completed", run_object(run))

    def _end(self, at: float) -> None:
        self.closed, quirks = True, self._run.script.quirks
        error = ApiError(500, "The server had an error while processing your request.", type="server_error").body()
        if "stream_no_done" in quirks:
            self.closing = b""
        elif "stream_error" in quirks:
            self.schedule(at, "error", error)
        elif "stream_flat_error" in quirks:
            self.schedule(at, "error", error["error"])
        else:
            self.schedule(at, f"thread.run.{self._run.status}", run_object(self._run))

    def _schedule_calls(self, asked: Round, begins: float, ends: float) -> None:
        step = round_step(self._run, asked)
        self._begin_step(begins, step | {"step_details": {"type": "tool_calls", "tool_calls": []}})
        parts: list[Object] = []
        for index, call in enumerate(asked.calls):
            first = call_object(call, output=None)
            first["function"]["arguments"] = ""
            parts.append({"index": index, **first})
            parts += [
                {"index": index, "type": "function", "function": {"arguments": part}}
                for part in pieces(call.arguments, self._run.script.deltas)
            ]
        self._step_deltas(step["id"], parts, begins, ends)

    def _schedule_answer(self, work: Work) -> None:
        self._answer_scheduled = True
        for step in work.steps:
            self._schedule_server_step(step)
        for message in work.messages:
            self._schedule_message(message)

    def _schedule_server_step(self, step: ServerStep) -> None:
        begun = server_step(self._run, step, step.began, self._with_content)
        begun["step_details"] = {"type": "tool_calls", "tool_calls": []}
        self._begin_step(step.began, begun | {"status": "in_progress", "completed_at": None})
        kind = step.call["type"]
        first = {"index": 0, "id": step.call["id"], "type": kind}
        if kind == "file_search":
            parts = [first | {kind: {}}]
        else:
            parts = [first | {kind: {"input": "", "outputs": []}}]
            parts += [_part(kind, "input", part) for part in pieces(step.call[kind]["input"], self._run.script.deltas)]
            outputs = [{"index": index, **each} for index, each in enumerate(step.call[kind]["outputs"])]
            parts.append(_part(kind, "outputs", outputs))
        self._step_deltas(step.id, parts, step.began, step.ended)
        self.schedule(
            step.ended, "thread.run.step.completed", server_step(self._run, step, step.ended, self._with_content)
        )

    def _schedule_message(self, message: Message) -> None:
        run, ended = self._run, message.created if message.ended is None else message.ended
        message.incomplete_reason = "max_tokens" if "incomplete" in (run.status, run.script.ends) else None
        whole = message_object(message, run.script.quirks)
        open_ = {"status": "in_progress", "incomplete_details": None, "completed_at": None, "incomplete_at": None}
        begun = whole | open_ | {"content": []}
        self._begin_step(message.created, message_step(run, message, open=True))
        self.schedule(message.created, "thread.message.created", begun)
        self.schedule(message.created, "thread.message.in_progress", begun)
        for moment, part in timed_deltas(message, run.script.deltas):
            delta = {"id": message.id, "object": "thread.message.delta", "delta": {"content": [part]}}
            self.schedule(moment, "thread.message.delta", delta)
        self.schedule(ended, f"thread.message.{whole['status']}", whole)
        self.schedule(ended, "thread.run.step.completed", message_step(run, message))

    def _begin_step(self, at: float, step: Object) -> None:
        self.schedule(at, "thread.run.step.created", step)
        self.schedule(at, "thread.run.step.in_progress", step)

    def _step_deltas(self, id: str, parts: list[Object], begins: float, ends: float) -> None:
        for number, part in enumerate(parts, start=1):
            details = {"type": "tool_calls", "tool_calls": [part]}
            moment = min(ends, begins + (ends - begins) * number / len(parts))
            delta = {"id": id, "object": "thread.run.step.delta", "delta": {"step_details": details}}
            self.schedule(moment, "thread.run.step.delta", delta)

    def _break_off(self, at: float) -> None:
        """Ends the step and the message that were open when the run stopped."""
        run = self._run
        stopped = at if run.halted is None else run.halted
        if run.coming:
            self._step_ended(at, round_step(run, run.coming))
        for step in run.work.steps if run.work else []:
            if step.began <= stopped < step.ended:
                self._step_ended(at, server_step(run, step, stopped, self._with_content))
        for message in run.work.messages if run.work else []:
            if message.created <= stopped and message.incomplete_reason == f"run_{run.status}":
                self.schedule(at, "thread.message.incomplete", message_object(message, run.script.quirks))
                self._step_ended(at, message_step(run, message))

    def _step_ended(self, at: float, step: Object) -> None:
        self.schedule(at, f"thread.run.step.{step['status']}", step)


def _part(kind: str, name: str, value: object) -> Object:
    return {"index": 0, "type": kind, kind: {name: value}}
