"""A small HTTP server for probes and scrapes. Its threads answer also while the event loop is blocked."""

import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: A client has so long to send its request, in seconds.
_REQUEST_S = 5.0

JSON = "application/json"


@dataclass(frozen=True)
class Reply:
    body: bytes
    content_type: str = JSON
    status: HTTPStatus = HTTPStatus.OK


#: Makes the reply of each path.
Pages = Mapping[str, Callable[[], Reply]]


class MonitoringServer:
    """Serves the pages on a listening socket, which it owns, until `close`."""

    def __init__(self, listener: socket.socket, pages: Pages) -> None:
        self._server = _Server(listener, pages)
        self._thread = threading.Thread(target=self._server.serve_forever, name="monitoring", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listener: socket.socket, pages: Pages) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.pages = pages

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignores clients that leave early."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _REQUEST_S
    server_version, sys_version = "threadmill", ""

    def do_GET(self) -> None:
        make = self.server.pages.get(self.path.partition("?")[0])
        if make is None:
            paths = ", ".join(self.server.pages)
            reply = Reply(f"no such page; there are {paths}\n".encode(), "text/plain", HTTPStatus.NOT_FOUND)
        else:
            reply = make()
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing: probes come every few seconds."""


def listen(host: str, port: int) -> socket.socket:
    """Returns a socket that listens on all addresses of `host`, or on a free port if it is 0. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server(
        (host, port), family=family, dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6()
    )
