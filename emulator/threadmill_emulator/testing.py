"""Runs an emulator, or another ASGI application, on a loopback socket, as a context manager."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.types import ASGIApp

from threadmill_emulator.app import create_app
from threadmill_emulator.http.emulator import Emulator
from threadmill_emulator.scripting.options import Options
from threadmill_emulator.server import Server, listen

START_S = 20


@dataclass(frozen=True)
class Running:
    url: str  #: without a path
    emulator: Emulator

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"


@contextmanager
def running(options: Options | None = None, clock: Callable[[], float] = time.time) -> Iterator[Running]:
    app = create_app(options, clock)
    with serving(app) as url:
        yield Running(url, app.state.emulator)


@contextmanager
def serving(app: ASGIApp, *, keep_alive_s: int = 5, waits: bool = True) -> Iterator[str]:
    """Yields the URL of the application, without a path. `waits`: at the end, wait until the server has stopped."""
    listener, ready = listen("127.0.0.1", 0), threading.Event()
    server = Server(app, ready.set)
    server.config.timeout_keep_alive = keep_alive_s
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="server", daemon=True)
    thread.start()
    try:
        if not ready.wait(START_S):
            raise RuntimeError(f"the server did not start within {START_S} s")
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        if waits:
            thread.join()
