"""The function calls that a run requests from its client."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from threadmill_emulator.content.messages import Prompt
from threadmill_emulator.ids import new_id
from threadmill_emulator.schemas.arguments import fitting
from threadmill_emulator.scripting.scenarios import Script


@dataclass
class ToolCall:
    name: str
    arguments: str
    id: str = field(default_factory=lambda: new_id("call"))
    output: str | None = None


@dataclass
class Round:
    """Function calls that a run makes at one time: written from `begun` on, answered at `answered`."""

    begun: float
    calls: list[ToolCall]
    answered: float | None = None
    step_id: str = field(default_factory=lambda: new_id("step"))

    def missing(self) -> list[str]:
        return [call.id for call in self.calls if call.output is None]


def make_calls(script: Script, tools: Sequence[dict[str, Any]], prompt: Prompt, first: int) -> list[ToolCall]:
    """`first`: how many calls the run made before; it makes the arguments of all calls different."""
    return [_call(script, tools, prompt, first + number) for number in range(script.calls)]


def _call(script: Script, tools: Sequence[dict[str, Any]], prompt: Prompt, number: int) -> ToolCall:
    functions = [tool["function"] for tool in tools if tool["type"] == "function"]
    if script.tool:
        functions = [function for function in functions if function["name"] == script.tool]
    text = f"{prompt.text} {number + 1}" if number else prompt.text
    if functions:
        function = functions[number % len(functions)]
        name, arguments = function["name"], fitting(function.get("parameters") or {"type": "object"}, text)
    else:
        name = script.tool or "SEARCH"
        arguments = {"query": {"text": " ".join(text.split())[:200], "number": number + 1}}
    written = json.dumps(arguments, ensure_ascii=False)
    return ToolCall(name, written[:-2] if script.broken else written)
