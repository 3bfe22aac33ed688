"""The chunks of a streamed chat completion.

They are scheduled when the work starts, and withdrawn if it ends early.
"""

from collections.abc import Callable, Iterator

from threadmill_emulator.chat.completion import Completion, Said
from threadmill_emulator.content.deltas import pieces
from threadmill_emulator.content.frames import Frames
from threadmill_emulator.objects.assistants import Object, call_object
from threadmill_emulator.objects.completions import chunk_object, usage_object
from threadmill_emulator.runs.failures import failure

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
            said = list(_deltas(self._plan(), run.script.deltas))
            for number, delta in enumerate(said, start=1):
                self._delta(begins + (ends - begins) * number / len(said), delta)

    def _end(self, at: float) -> None:
        self._withdraw_after(at)
        self.closed, completion = True, self._completion
        quirks = completion.run.script.quirks
        if completion.has_failed or "stream_error" in quirks:
            self.schedule(at, "", failure(completion.run).body())
        elif "stream_no_done" not in quirks:
            self._delta(at, {}, completion.finish_reason)
            if completion.asked.tells_usage:
                self.schedule(at, "", chunk_object(completion, [], usage_object(completion)))
            self.closing = DONE

    def _delta(self, at: float, delta: Object, finish_reason: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        self.schedule(at, "", chunk_object(self._completion, [choice]))

    def _frame(self, event: str, data: str) -> bytes:
        return f"data: {data}\n\n".encode()


def _deltas(said: Said, count: int | None) -> Iterator[Object]:
    """`count`: number of deltas of each text; default: one per word, up to 40."""
    if said.content is not None:
        yield from ({"content": piece} for piece in pieces(said.content, count))
    if said.refusal is not None:
        yield from ({"refusal": piece} for piece in pieces(said.refusal, count))
    for number, call in enumerate(said.calls):
        whole = call_object(call)
        yield {"tool_calls": [{"index": number, **whole, "function": {**whole["function"], "arguments": ""}}]}
        for piece in pieces(call.arguments, count):
            yield {"tool_calls": [{"index": number, "function": {"arguments": piece}}]}
