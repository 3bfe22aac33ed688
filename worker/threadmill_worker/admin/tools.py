"""Lists the tools that a worker with these settings offers. For `threadmill tools`."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx

from threadmill.errors import SettingsError
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill.settings.settings import Settings
from threadmill.settings.tools import FunctionSettings, HttpSettings, McpSettings
from threadmill_worker.tools import http as http_tools
from threadmill_worker.tools import registry
from threadmill_worker.tools.tool import Tool, ToolsUnavailable


@dataclass(frozen=True)
class OfferedTool:
    """A tool as it is sent to a server, with its limits; or only its name and the `problem` with it."""

    kind: str  #: function, http, mcp or plugin
    name: str
    description: str = ""
    parameters: Mapping[str, Any] | None = None  #: a JSON Schema
    timeout_s: float | None = None
    repeatable: bool = False
    concurrency: int | None = None
    problem: str | None = None  #: why it cannot be used


#: Functions that are not in the settings, on an endpoint with `plugins`.
_PLUGINS = OfferedTool("plugin", "*", "any function that is not listed, through POST /pluginapi of the platform")


async def offered_tools(settings: Settings, endpoints: Sequence[str]) -> dict[str, list[OfferedTool]]:
    """Returns the tools of each endpoint, also those that cannot be used."""
    async with http_tools.connect() as http:
        tools = [_configured(name, each, http) for name, each in settings.tools.items()]
    for served in await asyncio.gather(*(_served(name, each) for name, each in settings.mcp.items())):
        tools += served
    return {name: _of_endpoint(settings.endpoints[name], tools) for name in endpoints}


def _configured(name: str, settings: FunctionSettings | HttpSettings, http: httpx.AsyncClient) -> OfferedTool:
    kind = "function" if isinstance(settings, FunctionSettings) else "http"
    try:
        return _described(kind, registry.make(name, settings, http), settings)
    except SettingsError as error:
        return OfferedTool(kind, name, problem=str(error))


async def _served(name: str, settings: McpSettings) -> list[OfferedTool]:
    """Returns an MCP server's tools, and those that the settings name but the server does not have."""
    try:
        server = registry.serve(name, settings)
        try:
            tools = [*(await server.tools()).values()]
        finally:
            await server.close()
    except (SettingsError, ToolsUnavailable) as error:
        return [OfferedTool("mcp", name, problem=str(error))]
    missing = set(settings.tools or ()) - {tool.remote_name for tool in tools}
    problem = f"[mcp.{name}] lists it in `tools`, but the server has no tool of this name"
    return [
        *(_described("mcp", tool, settings) for tool in tools),
        *(OfferedTool("mcp", f"{name}: {each}", problem=problem) for each in sorted(missing)),
    ]


def _described(kind: str, tool: Tool, settings: FunctionSettings | HttpSettings | McpSettings) -> OfferedTool:
    limits = (tool.timeout_s, tool.repeatable, settings.concurrency)
    return OfferedTool(kind, tool.name, tool.description, tool.parameters, *limits)


def _of_endpoint(endpoint: Endpoint, tools: Iterable[OfferedTool]) -> list[OfferedTool]:
    # The platform's API for plugins needs a thread and an assistant.
    plugins = [_PLUGINS] if endpoint.supports.plugins and endpoint.has_assistants else []
    return [replace(tool, timeout_s=tool.timeout_s or endpoint.tool_timeout_s) for tool in (*tools, *plugins)]
