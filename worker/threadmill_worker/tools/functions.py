"""Tools that are Python functions: `weather = "package.module:function"` in the settings, under [tools]."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from importlib import import_module
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ArgsKwargs

from threadmill.errors import SettingsError
from threadmill.settings.tools import FunctionSettings
from threadmill_worker.tools.daemon_threads import DaemonThreads
from threadmill_worker.tools.tool import ToolFailed, described, slots


@dataclass(frozen=True)
class FunctionTool:
    """A Python function, synchronous or asynchronous."""

    name: str
    function: Callable[..., Any]
    slots: asyncio.Semaphore
    threads: DaemonThreads
    timeout_s: float | None = None
    repeatable: bool = False

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(cast(Any, self.function))

    @property
    def description(self) -> str:
        return inspect.getdoc(self.function) or ""

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """JSON Schema of the function's signature."""
        return {"type": "object", "properties": {}} | self._adapter.json_schema()

    async def call(self, arguments: Mapping[str, Any]) -> str:
        """Calls the function. Returns a str unchanged, and any other value as JSON.

        Raises pydantic.ValidationError if the arguments do not match the annotations. Whatever it raises, even
        SystemExit or CancelledError, becomes a ToolFailed. A synchronous function runs in a daemon thread, an async one
        in its own task. A cancelled call keeps its slot until the function has ended.
        """
        run = partial(_run, partial(self._adapter.validate_python, ArgsKwargs((), dict(arguments))))
        await self.slots.acquire()
        try:
            in_thread = None if self._is_async else await self.threads.start(run, f"tool {self.name}")
        except BaseException:
            self.slots.release()
            raise
        running = asyncio.create_task(_awaited(run, in_thread), name=f"tool {self.name}")
        _RUNNING.add(running)
        running.add_done_callback(self._ended)
        try:
            await asyncio.wait({running})
        finally:
            if in_thread is None:
                running.cancel()
            else:  # the thread cannot be stopped, but its result is no longer awaited
                in_thread.add_done_callback(lambda _: running.cancel())
        output = running.result()
        if isinstance(output, str):
            return output
        raise output

    @property
    def _is_async(self) -> bool:
        return any(map(inspect.iscoroutinefunction, (self.function, type(self.function).__call__)))

    def _ended(self, running: asyncio.Task[Any]) -> None:
        _RUNNING.discard(running)
        self.slots.release()


#: Calls that have not ended; the event loop itself keeps only weak references to tasks.
_RUNNING: set[asyncio.Task[Any]] = set()


#: The value of a call: the output, an awaitable, or the error.
_Returned = str | Awaitable[Any] | Exception


def _run(function: Callable[[], Any]) -> _Returned:
    """Calls the function. Never raises."""
    try:
        result = function()
        return result if inspect.isawaitable(result) else _text(result)
    except BaseException as error:
        return _failure(error)


async def _awaited(run: Callable[[], _Returned], in_thread: asyncio.Future[_Returned] | None) -> str | Exception:
    """Returns the output or the error. Never raises: a SystemExit in a task would stop the event loop."""
    try:
        if in_thread is None:
            result = run()
        else:
            await asyncio.wait({in_thread})
            result = in_thread.result()
        return result if isinstance(result, str | Exception) else _text(await result)
    except BaseException as error:
        return _failure(error)


def _text(result: Any) -> str:
    return result if isinstance(result, str) else TypeAdapter(Any).dump_json(result).decode()


def _failure(error: BaseException) -> Exception:
    return error if isinstance(error, ValidationError) else ToolFailed(described(error))


def load(name: str, settings: FunctionSettings, threads: DaemonThreads | None = None) -> FunctionTool:
    """Imports the function. Raises SettingsError, which names it. `threads`: for synchronous calls."""
    function = _import(name, settings.function)
    free = slots(settings.concurrency)
    return FunctionTool(name, function, free, threads or DaemonThreads(), settings.timeout_s, settings.repeatable)


def _import(name: str, target: str) -> Callable[..., Any]:
    module, _, path = target.partition(":")
    try:
        found: Any = import_module(module)
        for step in path.split("."):
            found = getattr(found, step)
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"tool {name!r}: cannot load {target} ({error}). Is its module on PYTHONPATH?") from error
    except (Exception, SystemExit) as error:
        raise SettingsError(f"tool {name!r}: importing {module} failed ({described(error)}); correct it") from error
    if not callable(found):
        raise SettingsError(f"tool {name!r}: {target} is not a function")
    return cast(Callable[..., Any], found)
