"""Serves the application on a socket."""

import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from threadmill_emulator.http.abort import AbortableProtocol

BACKLOG = 2048
#: How long a shutdown waits for requests in progress, such as a slow plugin call.
GRACE_S = 1


class Server(uvicorn.Server):
    """uvicorn with a callback that is called when it accepts requests."""

    def __init__(self, app: ASGIApp, ready: Callable[[], None]) -> None:
        config = uvicorn.Config(
            app,
            http=AbortableProtocol,
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=GRACE_S,
            log_level="critical",
        )
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


def listen(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    family, kind, protocol, _, address = found[0]
    # asyncio turns Nagle's algorithm off only on sockets that name TCP; with it on, answers take 40 ms.
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
