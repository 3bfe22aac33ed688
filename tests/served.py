"""Serves an application with its lifespan on a loopback socket, in a thread."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

#: How long a start may take on a busy machine.
START_S = 60


class _Server(uvicorn.Server):
    def __init__(self, app: ASGIApp, ready: threading.Event) -> None:
        super().__init__(uvicorn.Config(app, log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=1))
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set()


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """Yields the URL of the application, without a path."""
    ready = threading.Event()
    server = _Server(app, ready)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="served", daemon=True)
        thread.start()
        try:
            if not ready.wait(START_S):
                raise RuntimeError(f"the application did not start within {START_S} s")
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
