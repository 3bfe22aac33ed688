"""The sockets of calls ask whether their other end is still there."""

import socket

from threadmill_worker.drivers.http.keepalive import probed_socket


def test_a_silent_connection_is_asked_about_within_a_minute():
    with probed_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 0))) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        idle, interval, count = (
            made.getsockopt(socket.IPPROTO_TCP, option)
            for option in (
                getattr(socket, "TCP_KEEPIDLE", None) or socket.TCP_KEEPALIVE,
                socket.TCP_KEEPINTVL,
                socket.TCP_KEEPCNT,
            )
        )
        assert idle + interval * count <= 60
