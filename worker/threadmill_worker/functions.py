"""Tools that are Python functions: `weather = "package.module:function"` in the settings' [tools]."""

import asyncio
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any, cast

from pydantic import TypeAdapter
from pydantic_core import ArgsKwargs

from threadmill.errors import SettingsError
from threadmill.settings import Tool


@dataclass(frozen=True)
class FunctionTool:
    """A registered function, sync or async."""

    name: str
    function: Callable[..., Any]
    timeout_s: float | None
    repeatable: bool

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(cast(Any, self.function))

    @cached_property
    def definition(self) -> dict[str, Any]:
        """The tool as a server wants it described; its parameters are the function's signature."""
        parameters = {"type": "object", "properties": {}} | self._adapter.json_schema()
        description = inspect.getdoc(self.function) or ""
        return {
            "type": "function",
            "function": {"name": self.name, "description": description, "parameters": parameters},
        }

    async def call(self, arguments: Mapping[str, Any]) -> str:
        """The output as text: a str as it is, anything else as JSON.

        Arguments are validated against the annotations (pydantic.ValidationError). A sync function runs in a
        thread, off the event loop; one that does not come back in time is left to end by itself.
        """
        result = await asyncio.to_thread(self._adapter.validate_python, ArgsKwargs((), dict(arguments)))
        if inspect.isawaitable(result):
            result = await result
        return result if isinstance(result, str) else TypeAdapter(Any).dump_json(result).decode()


def load(tools: Mapping[str, Tool]) -> dict[str, FunctionTool]:
    """Imports the functions of the settings; raises SettingsError, which names the one that is not there."""
    return {
        name: FunctionTool(name, _import(name, tool.function), tool.timeout_s, tool.repeatable)
        for name, tool in tools.items()
    }


def _import(name: str, target: str) -> Callable[..., Any]:
    module, _, path = target.partition(":")
    try:
        found: Any = import_module(module)
        for step in path.split("."):
            found = getattr(found, step)
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"tool {name!r}: cannot load {target} ({error}). Is its module on PYTHONPATH?") from error
    if not callable(found):
        raise SettingsError(f"tool {name!r}: {target} is not a function")
    return cast(Callable[..., Any], found)
