"""`python -m threadmill_worker.tools.isolated_call` runs one function in its own process, for isolation.py.

It reads a line of JSON from stdin, `{"name", "function", "memory_bytes", "arguments"}`, and writes one to stdout:
`{"output"}` or `{"failure"}`. Without `arguments` it writes `{"description", "parameters"}`. Anything that the function
prints is dropped.
"""

import asyncio
import json
import os
import resource
import sys
import threading
from typing import Any, TextIO

from pydantic import ValidationError

from threadmill.job.model import explain
from threadmill.settings.tools import FunctionSettings
from threadmill_worker.tools import functions


def main() -> None:
    reply = os.dup(sys.stdout.fileno())
    requests = os.fdopen(os.dup(sys.stdin.fileno()))
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        os.dup2(nothing, stream.fileno())
    request = json.loads(requests.readline())
    if "arguments" in request:
        threading.Thread(target=_end_with, args=(requests,), daemon=True).start()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (request["memory_bytes"],) * 2)
    line = json.dumps(_answer(request)) + "\n"
    with os.fdopen(reply, "w") as stdout:
        stdout.write(line)
    os._exit(0)  # threads of the function must not keep the process alive


def _end_with(requests: TextIO) -> None:
    """Ends the process with the worker or with the call: the worker keeps stdin open until then."""
    requests.read()
    os._exit(1)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        tool = functions.load(request["name"], FunctionSettings(function=request["function"]))
        if "arguments" not in request:
            return {"description": tool.description, "parameters": tool.parameters}
        return {"output": asyncio.run(tool.call(request["arguments"]))}
    except ValidationError as error:
        return {"failure": f"the arguments do not fit: {explain(error)}"}
    except Exception as error:
        return {"failure": str(error)}


if __name__ == "__main__":
    main()
