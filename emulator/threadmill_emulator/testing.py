"""Runs an emulator on a loopback socket, as a context manager."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from threadmill_emulator.app import create_app
from threadmill_emulator.http.emulator import Emulator
from threadmill_emulator.scripting.options import Options
from threadmill_emulator.server import Server, listen


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
    listener, ready = listen("127.0.0.1", 0), threading.Event()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = Server(app, ready.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="emulator")
    thread.start()
    try:
        if not ready.wait(timeout=10):
            raise RuntimeError("the emulator did not start within 10 s")
        yield Running(url, app.state.emulator)
    finally:
        server.should_exit = True
        thread.join()
