"""The interface of tools of all kinds."""

import asyncio
import sys
from collections.abc import Mapping
from typing import Any, Protocol


class ToolFailed(Exception):
    """A call has no output. The model reads the text, which says why."""


class ToolsUnavailable(Exception):
    """The tools of a server cannot be listed now. The text says why, and what to do."""


class Tool(Protocol):
    """Something that a run can call by name."""

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str: ...

    @property
    def parameters(self) -> Mapping[str, Any]:
        """JSON Schema of the arguments."""

    @property
    def timeout_s(self) -> float | None:
        """Limit of one call, including the wait for a slot; None: the endpoint's `tool_timeout_s`."""

    @property
    def repeatable(self) -> bool: ...

    async def call(self, arguments: Mapping[str, Any]) -> str:
        """Returns the output. The model reads the text of any exception. The text of a ToolFailed is not changed."""


def definition(tool: Tool) -> dict[str, Any]:
    """Returns the tool's definition for a server."""
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def described(error: BaseException) -> str:
    """Describes an exception for the model, even if `str(error)` raises."""
    name = type(error).__name__
    try:
        return f"{name}: {error}" if str(error) else name
    except BaseException:
        return name


def slots(concurrency: int | None) -> asyncio.Semaphore:
    """Returns the semaphore that limits the concurrent calls of one tool in this process."""
    return asyncio.Semaphore(concurrency or sys.maxsize)
