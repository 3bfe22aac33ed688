"""What a tool is, whichever its kind."""

import asyncio
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from threadmill.errors import SettingsError

#: A shorter value is taken for no secret: in outputs, `1` or `true` may mean other things.
_SECRET_LENGTH = 8


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

    @property
    def secrets(self) -> frozenset[str]:
        """What must never be seen in an output."""

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


def secret(variable: str, owner: str) -> str:
    """A variable's value, fit for a header; raises SettingsError, which never shows it."""
    value = os.environ.get(variable, "").strip()
    if not value:
        raise SettingsError(f"{owner} needs {variable}, which this worker's environment lacks: export {variable}=...")
    if not (value.isascii() and value.isprintable()):
        raise SettingsError(f"{owner}: what {variable} holds has characters that no header can; set it again")
    return value


def secret_words(values: Mapping[str, str]) -> frozenset[str]:
    """What must not be seen of secret values: `Bearer sk-...` as a whole, and `sk-...` alone."""
    words = {*values.values(), *(value.rpartition(" ")[2] for value in values.values())}
    return frozenset(word for word in words if len(word) >= _SECRET_LENGTH)


def hidden(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets in it, the longest first: one may be part of another."""
    for each in sorted(secrets, key=len, reverse=True):
        text = text.replace(each, "[key]")
    return text
