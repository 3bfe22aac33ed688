"""DaVinci's plugin API: executes a function of the assistant and replies with text."""

import asyncio
import json
from typing import Any

from starlette.responses import JSONResponse, PlainTextResponse

from threadmill_emulator.errors.api_error import ApiError, missing
from threadmill_emulator.http.endpoint import Call, Reply, route

BIG_LENGTH = 20_000
SLOW_S = 30.0


async def call_function(call: Call) -> Reply:
    for name in ("tid", "aid", "pid"):
        if not call.query.get(name):
            raise missing(name)
    call.state.thread(call.query["tid"])
    call.state.assistant(call.query["aid"])
    arguments = call.json()
    if not isinstance(arguments, dict):
        raise ApiError(400, "The arguments of a function must be a JSON object.", code="invalid_type")
    function = call.query["pid"]
    call.state.stats.plugin_calls[function] += 1
    match function:
        case "SEARCH":
            return PlainTextResponse(_search(arguments))
        case "BIG":
            line = f"BIG was called with {_written(arguments)}. "
            return PlainTextResponse((line * (BIG_LENGTH // len(line) + 1))[:BIG_LENGTH])
        case "FAIL":
            raise ApiError(500, "The plugin failed.", type="server_error")
        case "SLOW":
            await asyncio.sleep(SLOW_S)
            return PlainTextResponse(f"SLOW was called with {_written(arguments)}.")
        case "JSON":
            return JSONResponse({"function": function, "arguments": arguments})
        case _:
            return PlainTextResponse(f"{function} was called with {_written(arguments)}.")


def _search(arguments: dict[str, Any]) -> str:
    return f"Emulated search results for: {' '.join(_strings(arguments))}\nArguments: {_written(arguments)}"


def _strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for part in value.values() for text in _strings(part)]
    if isinstance(value, list):
        return [text for part in value for text in _strings(part)]
    return [value] if isinstance(value, str) else []


def _written(arguments: dict[str, Any]) -> str:
    return json.dumps(arguments, ensure_ascii=False)


ROUTES = [route("POST", "/pluginapi", "plugin.call", call_function, beta=False)]
