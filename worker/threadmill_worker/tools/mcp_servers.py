"""Tools of MCP servers. Those of `[mcp.files]` in the settings are called `files__read`, `files__write` and so on."""

import asyncio
import hashlib
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from threadmill.secrets.redaction import redact
from threadmill.settings import credentials
from threadmill.settings.tools import SEPARATOR, McpSettings
from threadmill_worker.retry import while_starting
from threadmill_worker.tools.mcp_connection import Address, Command, Connection, ConnectionLost, Listed, reason
from threadmill_worker.tools.tool import ToolFailed, ToolsUnavailable, slots

T = TypeVar("T")

#: How long a server may take to start and to list its tools, in seconds.
START_S = 30.0

#: How long a list of tools is used before the server is asked for it again, in seconds.
RELIST_S = 60.0

#: The longest function name that OpenAI's API accepts.
NAME_LIMIT = 64


@dataclass(frozen=True)
class McpTool:
    """One tool of a server. `name`: for models."""

    name: str
    remote_name: str
    description: str
    parameters: Mapping[str, Any]
    server: "McpServer"

    @property
    def timeout_s(self) -> float | None:
        return self.server.settings.timeout_s

    @property
    def repeatable(self) -> bool:
        return self.server.settings.repeatable

    async def call(self, arguments: Mapping[str, Any]) -> str:
        return await self.server.call(self.remote_name, arguments)


class McpServer:
    """Connects on first use, and again after the connection broke. Raises SettingsError for a missing variable."""

    def __init__(self, name: str, settings: McpSettings) -> None:
        owner = f"MCP server {name!r}"
        self.name = name
        self.settings = settings
        if settings.command is not None:
            variables = {each: credentials.required(each, owner, credentials.read) for each in settings.env}
            self._to: Command | Address = Command(settings.command, variables)
        else:
            secrets = {header: credentials.required(each, owner) for header, each in settings.headers_env.items()}
            self._to = Address(settings.url or "", settings.headers | secrets)
        self._slots = slots(settings.concurrency)
        self._connecting: asyncio.Task[Connection] | None = None
        self._listing = asyncio.Lock()
        self._listed_on: Connection | None = None
        self._listed_at = 0.0
        self._tools: dict[str, McpTool] = {}

    async def tools(self) -> Mapping[str, McpTool]:
        """Returns the tools by name. Raises ToolsUnavailable."""
        try:
            async with asyncio.timeout(START_S):
                return await self._request(self._list, repeatable=True)
        except (TimeoutError, ConnectionLost, ToolFailed) as error:
            raise self._unavailable(error) from None

    async def _list(self, connection: Connection) -> Mapping[str, McpTool]:
        async with self._listing:
            if connection is not self._listed_on or time.monotonic() - self._listed_at > RELIST_S:
                self._tools = self._offered(await connection.tools())
                self._listed_on, self._listed_at = connection, time.monotonic()
            return self._tools

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> str:
        """Returns the output. Raises ToolFailed with the server's error, or why there is no reply."""
        async with self._slots:
            try:
                return await self._request(lambda connection: connection.call(tool, arguments))
            except ConnectionLost as lost:
                raise ToolFailed(f"its server {self.name!r} stopped during the call ({lost})") from None
            except ToolsUnavailable as error:
                raise ToolFailed(str(error)) from None

    async def _request(self, send: Callable[[Connection], Awaitable[T]], *, repeatable: bool = False) -> T:
        """Sends a request; if it was not sent or is `repeatable`, once more on a new connection."""
        try:
            return await send(await self._connected())
        except ConnectionLost as lost:
            if not (lost.unsent or repeatable):
                raise
        return await send(await self._connected())

    async def close(self) -> None:
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.cancel()
            await asyncio.wait([connecting])
            await _close(connecting)

    @property
    def connected(self) -> bool:
        """Whether there is a working connection."""
        connection = _opened(self._connecting) if self._connecting is not None else None
        return connection is not None and connection.alive

    async def _connected(self) -> Connection:
        """Returns the connection, which all calls share. Opens it if there is none, or if it is broken."""
        task = self._connecting
        if task is None or (task.done() and not self.connected):
            task = self._connecting = asyncio.create_task(self._connect(task), name=f"connect to mcp {self.name}")
        return await asyncio.shield(task)

    async def _connect(self, broken: asyncio.Task[Connection] | None) -> Connection:
        if broken is not None:
            await _close(broken)
        try:
            async with asyncio.timeout(START_S):
                return await while_starting()(self._open)
        except Exception as error:
            raise self._unavailable(error) from None

    async def _open(self) -> Connection:
        connection = Connection(self.name, self._to)
        await connection.open()
        return connection

    def _unavailable(self, error: Exception) -> ToolsUnavailable:
        why = f"no answer within {START_S:g} s" if isinstance(error, TimeoutError) else redact(reason(error))
        return ToolsUnavailable(f"the MCP server {self.name!r} cannot be used: {why}; see [mcp.{self.name}]")

    def _offered(self, listed: list[Listed]) -> dict[str, McpTool]:
        """Raises ToolFailed if two of its tools would have the same name."""
        offered: dict[str, McpTool] = {}
        for each in listed:
            if self.settings.tools is not None and each.name not in self.settings.tools:
                continue
            name = offered_name(self.name, each.name)
            if name in offered:
                both = f"{offered[name].remote_name!r} and {each.name!r}"
                raise ToolFailed(f"its tools {both} would both be {name}; name those to offer in its `tools`")
            offered[name] = McpTool(name, each.name, each.description, each.parameters, self)
        return offered


def offered_name(server: str, tool: str) -> str:
    """Returns `server__tool`, valid as a function's name: other characters become _, a long name ends in a hash."""
    name = f"{server}{SEPARATOR}{re.sub(r'[^a-zA-Z0-9_-]', '_', tool)}"
    if len(name) <= NAME_LIMIT:
        return name
    digest = hashlib.sha256(tool.encode()).hexdigest()[:8]
    return f"{name[: NAME_LIMIT - len(digest) - 1]}_{digest}"


def _opened(connecting: asyncio.Task[Connection]) -> Connection | None:
    """Returns the connection; None if connecting failed, or has not ended yet."""
    if not connecting.done() or connecting.cancelled() or connecting.exception() is not None:
        return None
    return connecting.result()


async def _close(connecting: asyncio.Task[Connection]) -> None:
    connection = _opened(connecting)
    if connection is not None:
        await connection.close()
