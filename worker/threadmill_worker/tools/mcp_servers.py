"""Tools that MCP servers bring: `[mcp.files]` in the settings offers them as `files__read`, `files__write` ..."""

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
from threadmill_worker.retry import until_it_answers
from threadmill_worker.tools.mcp_connection import Address, Command, Connection, ConnectionLost, Listed, reason
from threadmill_worker.tools.tool import ToolFailed, ToolsAway, slots

T = TypeVar("T")

#: How long a server may take to start and to say what it has, in seconds.
START_S = 30.0

#: What a server has is asked for anew after so long, in seconds.
RELIST_S = 60.0

#: The longest name a function may have on a model's server.
NAME_LIMIT = 64


@dataclass(frozen=True)
class McpTool:
    """One tool of a server, under the name it is offered by."""

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
    """Connected on first use, and again when the connection has broken. Raises SettingsError: a variable is missing."""

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
        """By the names they are offered under. Raises ToolsAway."""
        try:
            async with asyncio.timeout(START_S):
                return await self._asked(self._list, repeatable=True)
        except (TimeoutError, ConnectionLost, ToolFailed) as error:
            raise self._away(error) from None

    async def _list(self, connection: Connection) -> Mapping[str, McpTool]:
        async with self._listing:
            if connection is not self._listed_on or time.monotonic() - self._listed_at > RELIST_S:
                self._tools = self._offered(await connection.tools())
                self._listed_on, self._listed_at = connection, time.monotonic()
            return self._tools

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> str:
        """The output; raises ToolFailed with what the server says, or why it says nothing."""
        async with self._slots:
            try:
                return await self._asked(lambda connection: connection.call(tool, arguments))
            except ConnectionLost as lost:
                raise ToolFailed(f"its server {self.name!r} stopped during the call ({lost})") from None
            except ToolsAway as error:
                raise ToolFailed(str(error)) from None

    async def _asked(self, ask: Callable[[Connection], Awaitable[T]], *, repeatable: bool = False) -> T:
        """What comes of a request, made once more on a new connection if it never left, or is `repeatable`."""
        try:
            return await ask(await self._connected())
        except ConnectionLost as lost:
            if not (lost.unsent or repeatable):
                raise
        return await ask(await self._connected())

    async def close(self) -> None:
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.cancel()
            await asyncio.wait([connecting])
            await _close(connecting)

    @property
    def connected(self) -> bool:
        """Whether the next call finds a connection."""
        connection = _opened(self._connecting) if self._connecting is not None else None
        return connection is not None and connection.alive

    async def _connected(self) -> Connection:
        """The one connection; whoever comes while it is being made waits for the same."""
        there = self._connecting
        if there is None or (there.done() and not self.connected):
            there = self._connecting = asyncio.create_task(self._connect(there), name=f"connect to mcp {self.name}")
        return await asyncio.shield(there)

    async def _connect(self, broken: asyncio.Task[Connection] | None) -> Connection:
        if broken is not None:
            await _close(broken)
        try:
            async with asyncio.timeout(START_S):
                return await until_it_answers()(self._open)
        except Exception as error:
            raise self._away(error) from None

    async def _open(self) -> Connection:
        connection = Connection(self.name, self._to)
        await connection.open()
        return connection

    def _away(self, error: Exception) -> ToolsAway:
        told = f"no answer within {START_S:g} s" if isinstance(error, TimeoutError) else redact(reason(error))
        return ToolsAway(f"the MCP server {self.name!r} cannot be used: {told}; see [mcp.{self.name}]")

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
    """`server__tool` with what function names may have: other characters become _, what is too long ends in a hash."""
    name = f"{server}{SEPARATOR}{re.sub(r'[^a-zA-Z0-9_-]', '_', tool)}"
    if len(name) <= NAME_LIMIT:
        return name
    mark = hashlib.sha256(tool.encode()).hexdigest()[:8]
    return f"{name[: NAME_LIMIT - len(mark) - 1]}_{mark}"


def _opened(connecting: asyncio.Task[Connection]) -> Connection | None:
    """What came of an attempt to connect; None: nothing, or nothing yet."""
    if not connecting.done() or connecting.cancelled() or connecting.exception() is not None:
        return None
    return connecting.result()


async def _close(connecting: asyncio.Task[Connection]) -> None:
    connection = _opened(connecting)
    if connection is not None:
        await connection.close()
