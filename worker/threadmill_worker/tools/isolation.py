"""Function tools that run untrusted code in a child process: `isolate = true`."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from threadmill.errors import SettingsError
from threadmill.settings.tools import FunctionSettings
from threadmill_worker.tools.tool import ToolFailed, slots

#: The environment variables that the child process receives; no keys are among them.
_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")

#: Default memory limit of the child process, in MB of address space.
_MEMORY_MB = 1024

#: How many bytes of an output are read at most.
_REPLY_LIMIT = 10_000_000

#: How long importing the function's module may take, in seconds.
_IMPORT_S = 60

#: -P: modules are imported from PYTHONPATH, as in the worker, and not from the working directory.
_COMMAND = (sys.executable, "-P", "-m", "threadmill_worker.tools.isolated_call")


@dataclass(frozen=True)
class IsolatedTool:
    """A function that the worker does not import. Each call has its own process, which is killed after the timeout."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    request: Mapping[str, Any]
    slots: asyncio.Semaphore
    timeout_s: float | None = None
    repeatable: bool = False

    async def call(self, arguments: Mapping[str, Any]) -> str:
        """Returns the output as text. Raises ToolFailed, also if the process crashes."""
        async with self.slots:
            reply = await _run(_line({**self.request, "arguments": arguments}))
        if "output" not in reply:
            raise ToolFailed(str(reply.get("failure")))
        return str(reply["output"])


def load(name: str, settings: FunctionSettings) -> IsolatedTool:
    """Lets a child process import and describe the function. Raises SettingsError if it cannot be loaded.

    The default number of concurrent calls is the number of processors.
    """
    memory_bytes = (settings.memory_limit_mb or _MEMORY_MB) * 1024 * 1024
    request = {"name": name, "function": settings.function, "memory_bytes": memory_bytes}
    reply: dict[str, Any]
    try:
        done = subprocess.run(
            _COMMAND, input=_line(request), stdout=subprocess.PIPE, env=_environment(), timeout=_IMPORT_S
        )
        reply = _parsed(done.stdout) if done.stdout else {"failure": f"tool {name!r}: {_end(done.returncode)}"}
    except ToolFailed as error:
        reply = {"failure": f"tool {name!r}: {error}"}
    except subprocess.TimeoutExpired:
        reply = {"failure": f"tool {name!r}: importing {settings.function} took more than {_IMPORT_S} s"}
    if "failure" in reply:
        raise SettingsError(reply["failure"])
    free = slots(settings.concurrency or os.cpu_count())
    return IsolatedTool(
        name, reply["description"], reply["parameters"], request, free, settings.timeout_s, settings.repeatable
    )


async def _run(line: bytes) -> dict[str, Any]:
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        *_COMMAND, stdin=pipe, stdout=pipe, env=_environment(), limit=_REPLY_LIMIT, start_new_session=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(line)
        reply = await child.stdout.readline()
        if not reply:
            raise ToolFailed(_end(await child.wait()))
    except ValueError:
        raise ToolFailed(f"its output is longer than {_REPLY_LIMIT:,} bytes") from None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # including the processes that it started
        await child.wait()
    return _parsed(reply)


def _parsed(reply: bytes) -> dict[str, Any]:
    with suppress(ValueError, RecursionError):
        if isinstance(parsed := json.loads(reply), dict):
            return parsed
    raise ToolFailed("its process wrote no valid reply")


def _line(request: Mapping[str, Any]) -> bytes:
    return json.dumps(request).encode() + b"\n"


def _environment() -> dict[str, str]:
    given = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    return given | {"PYTHONPATH": os.pathsep.join(sys.path)}


def _end(code: int) -> str:
    if code < 0:
        return f"its process was killed by {signal.Signals(-code).name}"
    return f"its process ended with code {code} before it had an output"
