"""How event streams are read: several events at a time, and to the end, so that the connection stays usable."""

import asyncio
from contextlib import suppress

import aiohttp

#: Seconds between two reads. The deltas that arrive in this time are read together, in all streams at the same time.
READ_PAUSE_S = 0.2

#: A read of this many bytes has not emptied the buffer, so the next follows without a pause.
_FULL = 8192

#: How long a stream may take to end after its last event, in seconds.
_END_S = 1.0


async def pause_after(chunk: bytes) -> None:
    """Waits until the next read of a stream."""
    await asyncio.sleep(0 if len(chunk) >= _FULL else _time_to_next_read())


async def read_to_end(reply: aiohttp.ClientResponse) -> None:
    """Reads what comes after the last event, for a short time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_END_S):
            while await reply.content.readany():
                pass


def _time_to_next_read() -> float:
    return READ_PAUSE_S - asyncio.get_running_loop().time() % READ_PAUSE_S
