"""An MCP server for tests: over stdin and stdout when run, or as an ASGI app."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import Image, MCPServer


def make() -> MCPServer:
    server = MCPServer("demo", log_level="CRITICAL")

    @server.tool()
    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b

    @server.tool()
    def greet(name: str) -> str:
        """Says hello."""
        return f"hello, {name}"

    @server.tool()
    def look_up(name: str) -> dict[str, Any]:
        return {"name": name, "ok": True}

    @server.tool()
    def picture() -> Image:
        return Image(data=b"\x89PNG", format="png")

    @server.tool()
    def fail(why: str) -> str:
        raise ValueError(why)

    @server.tool()
    def pid() -> str:
        return str(os.getpid())

    @server.tool()
    def variable(name: str) -> str:
        return os.environ.get(name, "not set")

    @server.tool()
    def reveal() -> str:
        """Writes the variable MCP_SECRET to stderr, and returns it."""
        sys.stderr.write(f"the secret is {os.environ['MCP_SECRET']}\n")
        sys.stderr.flush()
        return os.environ["MCP_SECRET"]

    @server.tool(name="read.file")
    async def hang(mark: str) -> str:
        """Touches the file, and never answers."""
        await asyncio.to_thread(Path(mark).touch)
        await asyncio.Event().wait()
        return ""

    return server


if __name__ == "__main__":
    if "--stubborn" in sys.argv:  # neither the end of its input nor SIGTERM ends it
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        make().run()
    finally:
        while "--stubborn" in sys.argv:
            signal.pause()
