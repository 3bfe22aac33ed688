"""All tools of one worker process, for all its endpoints."""

import asyncio
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import httpx

from threadmill.errors import SettingsError
from threadmill.installation import install_command
from threadmill.job.message import BUILT_IN
from threadmill.settings.settings import Settings
from threadmill.settings.tools import SEPARATOR, FunctionSettings, HttpSettings, McpSettings, server_of
from threadmill_worker.tools import functions, isolation
from threadmill_worker.tools import http as http_tools
from threadmill_worker.tools.daemon_threads import DaemonThreads
from threadmill_worker.tools.tool import Tool, definition

if TYPE_CHECKING:  # its package is an extra
    from threadmill_worker.tools.mcp_servers import McpServer


class ToolRegistry:
    """Finds tools by name. `servers`: the MCP servers, by name. Create it with `load`."""

    def __init__(
        self,
        tools: Mapping[str, Tool] | None = None,
        servers: "Mapping[str, McpServer] | None" = None,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._tools = tools or {}
        self._servers = servers or {}
        self._http = http

    @property
    def known(self) -> list[str]:
        """The names to list in an error message."""
        return [*sorted(self._tools), *(f"{server}{SEPARATOR}..." for server in sorted(self._servers))]

    def owns(self, name: str) -> bool:
        """Whether a name is that of a tool, or begins with that of an MCP server."""
        return name in self._tools or server_of(name, self._servers) is not None

    def timeout_of(self, name: str) -> float | None:
        """The timeout from the tool's settings, or None."""
        server = server_of(name, self._servers)
        if server is not None:
            return self._servers[server].settings.timeout_s
        return self._tools[name].timeout_s if name in self._tools else None

    async def find(self, name: str) -> Tool | None:
        """Returns None if there is no such tool. Raises ToolsUnavailable if its MCP server cannot be used."""
        server = server_of(name, self._servers)
        if server is None:
            return self._tools.get(name)
        return (await self._servers[server].tools()).get(name)

    async def named(self, name: str) -> list[Tool]:
        """Returns the tool, or all tools of the MCP server, of this name. Raises KeyError, ToolsUnavailable."""
        if name in self._servers:
            return [*(await self._servers[name].tools()).values()]
        tool = await self.find(name)
        if tool is None:
            raise KeyError(name)
        return [tool]

    async def definitions(self, tools: Sequence[str | Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Returns the definitions for a server, each once. Raises KeyError, ToolsUnavailable."""
        described: list[dict[str, Any]] = []
        for tool in tools:
            if isinstance(tool, str) and tool in BUILT_IN:
                described += [{"type": tool}] if all(each.get("type") != tool for each in described) else []
                continue
            more = map(definition, await self.named(tool)) if isinstance(tool, str) else [dict(tool)]
            described += [each for each in more if each not in described]
        return described

    async def close(self) -> None:
        """Ends the MCP servers that are child processes."""
        await asyncio.gather(*(server.close() for server in self._servers.values()))
        if self._http is not None:
            await self._http.aclose()


def load(settings: Settings) -> ToolRegistry:
    """Imports functions and reads variables, but does not connect yet. Raises SettingsError, which names the tool."""
    is_http = any(isinstance(each, HttpSettings) for each in settings.tools.values())
    http = http_tools.connect() if is_http else None
    threads = DaemonThreads(settings.tool_threads)
    tools = {name: make(name, each, http, threads) for name, each in settings.tools.items()}
    return ToolRegistry(tools, {name: serve(name, each) for name, each in settings.mcp.items()}, http)


def make(
    name: str,
    settings: FunctionSettings | HttpSettings,
    http: httpx.AsyncClient | None,
    threads: DaemonThreads | None = None,
) -> Tool:
    """Makes a tool of [tools]. Raises SettingsError."""
    if isinstance(settings, FunctionSettings):
        return isolation.load(name, settings) if settings.isolate else functions.load(name, settings, threads)
    assert http is not None
    return http_tools.HttpTool(name, settings, http)


def serve(name: str, settings: McpSettings) -> "McpServer":
    """Makes a server of [mcp]. Raises SettingsError."""
    if find_spec("mcp") is None:
        raise SettingsError(f"[mcp.{name}] needs a package that is not installed here: {install_command('mcp')}")
    from threadmill_worker.tools.mcp_servers import McpServer

    return McpServer(name, settings)
