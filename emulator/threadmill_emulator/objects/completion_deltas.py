"""The deltas of a streamed chat completion, as each server writes them."""

from collections.abc import Collection, Iterator

from threadmill_emulator.chat.completion import Said
from threadmill_emulator.content.deltas import pieces
from threadmill_emulator.objects.assistants import Object
from threadmill_emulator.objects.completions import call_objects, reasoned_content, reasoning_field


def of(said: Said, count: int | None, quirks: Collection[str]) -> Iterator[Object]:
    """`count`: number of deltas of each text; default: one per word, up to 40."""
    field = reasoning_field(quirks)
    if said.reasoning and field:
        yield from ({field: piece} for piece in pieces(said.reasoning, count))
    if (content := reasoned_content(said, quirks)) is not None:
        yield from ({"content": piece} for piece in pieces(content, count))
    if said.refusal is not None:
        yield from ({"refusal": piece} for piece in pieces(said.refusal, count))
    if said.calls:
        yield from _calls(said, count, quirks)


def reason(finish_reason: str | None, quirks: Collection[str]) -> str | None:
    """Returns the finish reason that the last chunk shows."""
    return "stop" if finish_reason == "tool_calls" and "google_calls" in quirks else finish_reason


def _calls(said: Said, count: int | None, quirks: Collection[str]) -> Iterator[Object]:
    calls = call_objects(said, quirks)
    if "google_calls" in quirks:
        yield {"tool_calls": [{**call, "id": "", "index": None} for call in calls]}
        return
    for number, call in enumerate(calls):
        if "whole_calls" in quirks:
            yield {"tool_calls": [{"index": number, **call}]}
            continue
        yield {"tool_calls": [{"index": number, **call, "function": {**call["function"], "arguments": ""}}]}
        for piece in pieces(call["function"]["arguments"], count):
            yield {"tool_calls": [{"index": number, "function": {"arguments": piece}}]}
