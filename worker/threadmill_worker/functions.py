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
from threadmill.tool_settings import FunctionSettings
from threadmill_worker.tool import slots


@dataclass(frozen=True)
class FunctionTool:
    """A registered function, sync or async."""

    name: str
    function: Callable[..., Any]
    slots: asyncio.Semaphore
    timeout_s: float | None = None
    repeatable: bool = False
    secrets: frozenset[str] = frozenset()

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(cast(Any, self.function))

    @property
    def description(self) -> str:
        return inspect.getdoc(self.function) or ""

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """The function's signature."""
        return {"type": "object", "properties": {}} | self._adapter.json_schema()

    async def call(self, arguments: Mapping[str, Any]) -> str:
        """The output as text: a str as it is, anything else as JSON.

        Arguments are validated against the annotations (pydantic.ValidationError). A sync function runs in a
        thread, off the event loop; one that does not come back in time is left to end by itself, and holds its
        slot until then.
        """
        await self.slots.acquire()
        in_thread = asyncio.ensure_future(
            asyncio.to_thread(self._adapter.validate_python, ArgsKwargs((), dict(arguments)))
        )
        try:
            result = await asyncio.shield(in_thread)
            if inspect.isawaitable(result):
                result = await result
        finally:
            in_thread.add_done_callback(self._free)
        return result if isinstance(result, str) else TypeAdapter(Any).dump_json(result).decode()

    def _free(self, ended: asyncio.Future[Any]) -> None:
        if not ended.cancelled():
            ended.exception()  # of an overdue call: nobody is left to be told
        self.slots.release()


def load(name: str, settings: FunctionSettings) -> FunctionTool:
    """Imports the function; raises SettingsError, which names it if it is not there."""
    function = _import(name, settings.function)
    return FunctionTool(name, function, slots(settings.concurrency), settings.timeout_s, settings.repeatable)


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
