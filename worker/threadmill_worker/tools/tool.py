"""What a tool is, whichever its kind."""

import asyncio
import sys
from collections.abc import Mapping
from typing import Any, Protocol


class ToolFailed(Exception):
    """Why a call has no output; the text is for the model."""


class ToolsAway(Exception):
    """Which tools a server has cannot be learnt now; the text says why, and what to do."""


class Tool(Protocol):
    """Something a run may call by name."""

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str: ...

    @property
    def parameters(self) -> Mapping[str, Any]:
        """JSON Schema of the arguments."""

    @property
    def timeout_s(self) -> float | None:
        """For one call, its wait for a slot included; None: the endpoint's."""

    @property
    def repeatable(self) -> bool: ...

    async def call(self, arguments: Mapping[str, Any]) -> str:
        """The output. Any exception is told to the model; the text of a ToolFailed as it is."""


def definition(tool: Tool) -> dict[str, Any]:
    """The tool as a server wants it described."""
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def described(error: BaseException) -> str:
    """An exception in words for the model, whatever user code makes of its text."""
    name = type(error).__name__
    try:
        return f"{name}: {error}" if str(error) else name
    except BaseException:
        return name


def slots(concurrency: int | None) -> asyncio.Semaphore:
    """What calls of a tool wait for when as many as allowed are under way in this process."""
    return asyncio.Semaphore(concurrency or sys.maxsize)
