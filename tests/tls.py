"""TLS in front of a server that has none."""

import asyncio
import ssl
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path


@contextmanager
def with_tls(port: int, *, certificate: Path, authority: Path) -> Iterator[int]:
    """Yields a port that passes on to `port` what clients with a certificate of this authority send."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    listening: Future[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        stopping = asyncio.Event()
        server = await asyncio.start_server(partial(_pass_on, port), "127.0.0.1", 0, ssl=context)
        listening.set_result((server.sockets[0].getsockname()[1], asyncio.get_running_loop(), stopping))
        await stopping.wait()
        server.close()

    with ThreadPoolExecutor(1, thread_name_prefix="tls") as thread:
        served = thread.submit(asyncio.run, serve())
        secure, loop, stopping = listening.result(10)
        try:
            yield secure
        finally:
            loop.call_soon_threadsafe(stopping.set)
            served.result(10)


async def _pass_on(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
    with suppress(OSError, asyncio.CancelledError):
        await asyncio.gather(_copy(reader, server_writer), _copy(server_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.transport.abort()
