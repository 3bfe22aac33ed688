"""One open connection to an MCP server. Only this module imports the `mcp` package.

The client's cancel scopes have to be entered and left by the same task, so each connection has a task that owns it.
"""

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Thread
from typing import Any, TextIO

import httpx2
import structlog
from anyio.streams.memory import MemoryObjectReceiveStream
from mcp import Client, MCPError, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CONNECTION_CLOSED, INVALID_REQUEST, CallToolResult, ContentBlock

from threadmill_worker.tools.tool import ToolFailed

log = structlog.get_logger(__name__)

#: How long connecting to a URL may take, in seconds. The whole call has its own limit.
CONNECT_S = 5.0

#: How often a request is repeated that was not sent because no connection could be opened.
_CONNECTS = 2

#: How many pages of a server's list of tools are read.
_PAGES = 100

#: How many characters of a server's stderr are logged as one line.
_LINE_LIMIT = 65_536


class ConnectionLost(Exception):
    """`unsent`: the request had no effect."""

    def __init__(self, reason: str, *, unsent: bool) -> None:
        super().__init__(reason)
        self.unsent = unsent


@dataclass(frozen=True)
class Listed:
    """A tool as its server describes it."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Command:
    """An MCP server that is a child process."""

    command: Sequence[str]
    variables: Mapping[str, str]

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Any]:
        program, *arguments = self.command
        parameters = StdioServerParameters(command=program, args=arguments, env=dict(self.variables))
        with _logged(program) as stderr:
            async with stdio_client(parameters, stderr) as streams:
                yield streams


@contextmanager
def _logged(program: str) -> Iterator[TextIO]:
    """Returns a stream for the stderr of a child process. Its lines go to the log, which redacts secrets."""
    reading, writing = os.pipe()
    Thread(target=_log_lines, args=(reading, program), name=f"stderr of {program}", daemon=True).start()
    with os.fdopen(writing, "w") as stream:
        yield stream


def _log_lines(reading: int, program: str) -> None:
    with os.fdopen(reading, errors="replace") as stream:
        for line in iter(partial(stream.readline, _LINE_LIMIT), ""):
            logging.getLogger(__name__).info("MCP server %s: %s", program, line.rstrip())


@dataclass(frozen=True)
class Address:
    """An MCP server behind a URL."""

    url: str
    headers: Mapping[str, str]

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Any]:
        async with (
            httpx2.AsyncClient(
                headers=dict(self.headers),
                timeout=httpx2.Timeout(None, connect=CONNECT_S),
                transport=httpx2.AsyncHTTPTransport(retries=_CONNECTS),
            ) as http,
            streamable_http_client(self.url, http_client=http) as streams,
        ):
            yield streams


class Connection:
    """A connection. It can be used after `open`, while it is `alive`, and must be closed in any case."""

    def __init__(self, name: str, to: Command | Address) -> None:
        self._name = name
        self._to = to
        self._client: Client | None = None
        self._incoming: Any = None
        self._session_ended = False
        self._closing = asyncio.Event()
        self._owner: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connects. Raises any error of the connection or of the handshake."""
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._owner = asyncio.create_task(self._own(ready), name=f"mcp {self._name}")
        try:
            await ready
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Closes the connection. Ends a child process: closes its input, then sends SIGTERM, and finally SIGKILL."""
        self._closing.set()
        if self._owner is not None:
            if self._client is None:
                self._owner.cancel()
            await asyncio.wait([self._owner])

    async def _own(self, ready: asyncio.Future[None]) -> None:
        try:
            async with Client(self._watched(), cache=None) as self._client:
                ready.set_result(None)
                await self._closing.wait()
        except Exception as error:
            if ready.done():
                log.warning("MCP connection broken", server=self._name, reason=reason(error))
            else:
                ready.set_exception(error)

    @asynccontextmanager
    async def _watched(self) -> AsyncIterator[Any]:
        async with self._to.connect() as streams:
            self._incoming = streams[0]
            yield streams

    @property
    def alive(self) -> bool:
        """Whether it can be used. An HTTP error ends the owner's task; a command that ended has closed its output."""
        if self._owner is None or self._owner.done() or self._session_ended or self._closing.is_set():
            return False
        is_pipe = isinstance(self._incoming, MemoryObjectReceiveStream)
        return not is_pipe or self._incoming.statistics().open_send_streams > 0

    async def tools(self) -> list[Listed]:
        """Lists the server's tools. Raises ConnectionLost, or ToolFailed with the server's error."""
        found: list[Listed] = []
        cursor: str | None = None
        for _ in range(_PAGES):
            async with self._session() as client:
                page = await client.list_tools(cursor=cursor)
            found += [Listed(each.name, each.description or each.title or "", each.input_schema) for each in page.tools]
            cursor = page.next_cursor
            if cursor is None:
                break
        return found

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> str:
        """Returns the output. Raises ConnectionLost, or ToolFailed with the server's error."""
        async with self._session() as client:
            result = await client.call_tool(tool, dict(arguments))
        if result.is_error:
            raise ToolFailed(_text(result))
        return _text(result)

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Client]:
        if self._client is None or not self.alive:
            raise ConnectionLost("the connection is closed", unsent=True)
        try:
            yield self._client
        except MCPError as error:
            if (
                error.code == INVALID_REQUEST and "Session terminated" in error.message
            ):  # HTTP 404: the server has restarted
                self._session_ended = True
                raise ConnectionLost("the server no longer knows the session", unsent=True) from None
            if error.code == CONNECTION_CLOSED:
                raise ConnectionLost(error.message, unsent=False) from None
            raise ToolFailed(error.message) from None


def reason(error: BaseException) -> str:
    """Describes the first cause of an error, which may be nested in exception groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _text(result: CallToolResult) -> str:
    """Joins the texts of a result, and its structured content unless that repeats them."""
    texts = [_block(block) for block in result.content]
    structured = result.structured_content
    if structured is not None and not (texts and _repeats(result, texts, structured)):
        texts.append(json.dumps(structured, ensure_ascii=False))
    return "\n".join(filter(None, texts))


def _repeats(result: CallToolResult, texts: list[str], structured: Any) -> bool:
    """Whether the blocks repeat the structured content, as JSON or under another name.

    The SDKs wrap a value that is not an object as {"result": ...}. The reference servers wrap a text, or the blocks, as
    {"content": ...}.
    """
    values = [structured]
    if isinstance(structured, dict) and len(structured) == 1:
        if "result" in structured:
            return True
        values += structured.values()
    blocks = [block.model_dump(mode="json", by_alias=True, exclude_none=True) for block in result.content]
    said: list[Any] = ["\n".join(texts), *texts]
    said += [*map(_parsed, said), texts, list(map(_parsed, texts)), blocks]
    return any(value in said for value in values)


def _parsed(text: str) -> Any:
    """Parses JSON; a text that is not JSON becomes an object that equals nothing."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return object()


def _block(block: ContentBlock) -> str:
    """Returns the text of a block, or a note in place of content that is not text."""
    match block.type:
        case "text":
            return block.text
        case "resource":
            text = getattr(block.resource, "text", None)
            return text if text is not None else f"[a resource that is not text: {block.resource.uri}]"
        case "resource_link":
            return f"[a resource: {block.uri}]"
        case _:
            return f"[{block.type}, {block.mime_type}, left out]"
