"""`python -m threadmill_worker.admin.tools [ENDPOINT]`: the tools a worker with these settings offers.

For `threadmill tools`. What is broken is listed too, with the reason in `problem`.
"""

import asyncio
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import httpx

from threadmill.errors import SettingsError
from threadmill.secrets import redaction
from threadmill.settings.endpoint import Endpoint
from threadmill.settings.settings import Settings
from threadmill.settings.tools import FunctionSettings, HttpSettings, McpSettings
from threadmill_worker.tools import http as http_tools
from threadmill_worker.tools import registry
from threadmill_worker.tools.tool import Tool, ToolsAway

#: Functions we do not have, on an endpoint with `plugins`.
_PLUGINS = "any function that is not listed, through POST /pluginapi of the platform"


async def catalogue(settings: Settings, names: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Endpoint -> its tools."""
    async with http_tools.connect() as http:
        tools = [_entry(name, each, http) for name, each in settings.tools.items()]
    for served in await asyncio.gather(*(_served(name, each) for name, each in settings.mcp.items())):
        tools += served
    return {name: _of_endpoint(settings.endpoints[name], tools) for name in names}


def _entry(name: str, settings: FunctionSettings | HttpSettings, http: httpx.AsyncClient) -> dict[str, Any]:
    kind = "function" if isinstance(settings, FunctionSettings) else "http"
    try:
        tool = registry.make(name, settings, http)
        return _described(kind, tool, settings)
    except SettingsError as error:
        return {"kind": kind, "name": name, "problem": str(error)}


async def _served(name: str, settings: McpSettings) -> list[dict[str, Any]]:
    """An MCP server's tools, and those it should have and has not."""
    try:
        server = registry.serve(name, settings)
        try:
            tools = [*(await server.tools()).values()]
        finally:
            await server.close()
    except (SettingsError, ToolsAway) as error:
        return [{"kind": "mcp", "name": name, "problem": str(error)}]
    lacking = set(settings.tools or ()) - {tool.remote_name for tool in tools}
    problem = f"[mcp.{name}] lists it in `tools`, but the server has no tool of this name"
    return [
        *(_described("mcp", tool, settings) for tool in tools),
        *({"kind": "mcp", "name": f"{name}: {each}", "problem": problem} for each in sorted(lacking)),
    ]


def _described(kind: str, tool: Tool, settings: FunctionSettings | HttpSettings | McpSettings) -> dict[str, Any]:
    return {
        "kind": kind,
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "timeout_s": tool.timeout_s,
        "repeatable": tool.repeatable,
        "concurrency": settings.concurrency,
        "problem": None,
    }


def _of_endpoint(endpoint: Endpoint, tools: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    limit_s = endpoint.tool_timeout_s
    listed = [{**tool, "timeout_s": tool.get("timeout_s") or limit_s} for tool in tools]
    if endpoint.supports.plugins and endpoint.wire == "assistants":  # its API asks for a thread and an assistant
        rest = {"parameters": None, "timeout_s": limit_s, "repeatable": False, "concurrency": None, "problem": None}
        listed.append({"kind": "plugin", "name": "*", "description": _PLUGINS, **rest})
    return listed


def main() -> int:
    redaction.guard()
    try:
        settings = Settings.load()
        names = [settings.endpoint_name(name) for name in sys.argv[1:]] or list(settings.endpoints)
        answer: dict[str, Any] = asyncio.run(catalogue(settings, names))
    except SettingsError as error:
        answer = {"error": str(error)}
    sys.stdout.write(json.dumps(redaction.redact_all(answer)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
