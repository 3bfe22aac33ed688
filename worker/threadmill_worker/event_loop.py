"""The event loop of a worker."""

import asyncio


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Returns a new loop: uvloop's where it is installed, else asyncio's."""
    try:
        import uvloop
    except ImportError:  # it has no wheel for Windows or PyPy
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
