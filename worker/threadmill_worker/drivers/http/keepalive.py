"""Sockets that notice when the machine at their other end has vanished.

A call may wait for its run for many minutes without a byte. If its server loses power meanwhile, or a firewall forgets
the connection, no packet tells. The system then asks the other end, and breaks the connection within a minute. A proxy
answers in place of the server behind it: such a call ends after `run_limit_s`.
"""

import socket

import aiohttp

#: Seconds without a packet before the first question, seconds between two questions, and how many may stay unanswered.
#: A limit of the time in which sent data is acknowledged (TCP_USER_TIMEOUT) would also break the connection to a busy
#: server that reads a large request slowly.
_IDLE_S, _INTERVAL_S, _QUESTIONS = 30, 10, 3

#: macOS names the first option otherwise.
_IDLE_OPTION: int = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", 0))


def probed_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Returns a socket for a connection, for aiohttp's TCPConnector."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if _IDLE_OPTION:
        made.setsockopt(socket.IPPROTO_TCP, _IDLE_OPTION, _IDLE_S)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _INTERVAL_S)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _QUESTIONS)
    return made
