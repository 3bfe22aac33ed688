"""Sends requests on connections that stay open, as fast as the server answers."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from uvloop import new_event_loop

CONNECTIONS = 32
_BODY_LENGTH = b"content-length:"


def request(method: str, path: str, body: bytes = b"") -> bytes:
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    )
    return f"{head}\r\n\r\n".encode() + body


def requests_in(port: int, sent: bytes, seconds: float, expected: int) -> int:
    """Returns how many requests were answered. Raises ValueError for another status than the expected one."""

    async def sender(until: float) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        count = 0
        while time.monotonic() < until:
            writer.write(sent)
            await _reply(reader, expected)
            count += 1
        writer.close()
        return count

    async def all_of_them() -> int:
        until = time.monotonic() + seconds
        return sum(await asyncio.gather(*(sender(until) for _ in range(CONNECTIONS))))

    return run(all_of_them)


def run(main: Callable[[], Awaitable[int]]) -> int:
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(_awaited(main))


async def _awaited(main: Callable[[], Awaitable[int]]) -> int:
    return await main()


async def _reply(reader: asyncio.StreamReader, expected: int) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    length = next(
        int(line[len(_BODY_LENGTH) :]) for line in head.lower().split(b"\r\n") if line.startswith(_BODY_LENGTH)
    )
    body = await reader.readexactly(length)
    if status != expected:
        raise ValueError(f"HTTP {status}: {body[:300]!r}")
    return body
