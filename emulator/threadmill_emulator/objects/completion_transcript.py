"""The chunks of a streamed chat completion.

They are scheduled when the work starts, and withdrawn if it ends early.
"""

from collections.abc import Callable

from threadmill_emulator.chat.completion import Completion, Said
from threadmill_emulator.content.frames import Frames
from threadmill_emulator.errors.api_error import ApiError
from threadmill_emulator.errors.forms import form_of
from threadmill_emulator.objects import completion_deltas
from threadmill_emulator.objects.assistants import Object
from threadmill_emulator.objects.completions import chunk_object, usage_object
from threadmill_emulator.runs.failures import failure

BROKEN = ApiError(500, "The server had an error while processing your request.", type="server_error")
DONE = b"data: [DONE]\n\n"


class CompletionTranscript(Frames):
    def __init__(self, completion: Completion, plan: Callable[[], Said]) -> None:
        super().__init__()
        self._completion, self._plan = completion, plan

    def changed(self, at: float) -> None:
        run = self._completion.run
        if self._completion.ended is not None:
            self._end(at)
        elif run.coming or run.is_answering:
            begins, ends = run.stretch
            self._delta(begins, {"role": "assistant", "content": "", "refusal": None})
            said = list(completion_deltas.of(self._plan(), run.script.deltas, self._completion.quirks))
            for number, delta in enumerate(said, start=1):
                self._delta(begins + (ends - begins) * number / len(said), delta)

    def _end(self, at: float) -> None:
        self._withdraw_after(at)
        self.closed, completion = True, self._completion
        quirks = completion.run.script.quirks
        if completion.has_failed or "stream_error" in quirks:
            error = failure(completion.run) if completion.has_failed else BROKEN
            self.schedule(at, "", form_of(completion.quirks).body(error))
        elif "stream_no_done" not in quirks:
            self._delta(at, {}, completion_deltas.reason(completion.finish_reason, completion.quirks))
            if completion.asked.tells_usage:
                self.schedule(at, "", chunk_object(completion, [], usage_object(completion)))
            self.closing = DONE

    def _delta(self, at: float, delta: Object, finish_reason: str | None = None) -> None:
        if "roles_in_chunks" in self._completion.quirks:
            delta = {"content": "", "role": "assistant", **delta}
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        self.schedule(at, "", chunk_object(self._completion, [choice]))

    def _frame(self, event: str, data: str) -> bytes:
        return f"data: {data}\n\n".encode()
