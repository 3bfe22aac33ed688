"""Sends one POST request to a receiver that somebody else chose: to checked addresses only, without redirects."""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from threadmill_worker.callbacks.addresses import is_allowed
from threadmill_worker.drivers.replies.rate_limits import read_retry_after_s

#: From the resolution of the name to the end of the reply.
TIMEOUT_S = 10.0

#: Bytes of the reply that are read.
_REPLY_LIMIT = 64 * 1024

_GONE, _TOO_MANY, _UNAVAILABLE = 410, 429, 503


@dataclass(frozen=True)
class Reply:
    """The outcome of an attempt."""

    reason: str  #: without the URL, its query and any secret
    status: int | None = None  #: None: there was no reply
    is_final: bool = False  #: a further attempt could not help
    retry_after_s: float = 0.0

    @property
    def is_taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Forbidden(OSError):
    """The address is not public, and no setting allows it."""


async def post(
    url: str,
    body: bytes,
    headers: dict[str, str],
    allowed: Sequence[str],
    now: float,
    resolver: AbstractResolver | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Reply:
    """Sends a request. Each address is checked where its socket is made, so that no second look-up can replace it.

    `allowed`: the setting `callback_hosts`. `now`: seconds since 1970, for a reply that has a date in
    `Retry-After` and no `Date`. `resolver`: default, the system's. Proxies of the environment are not used.
    """
    target = URL(url)

    def checked_socket(info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, address = info
        if not is_allowed(address[0], target.host or "", allowed):
            raise Forbidden(f"{address[0]} is not a public address")
        return socket.socket(family, kind, protocol)

    connector = aiohttp.TCPConnector(
        resolver=resolver or aiohttp.ThreadedResolver(),
        socket_factory=checked_socket,
        use_dns_cache=False,
        force_close=True,
        happy_eyeballs_delay=None,  # one address after the other, so that the first error is the one that counts
    )
    try:
        async with (
            asyncio.timeout(timeout_s),
            aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False
            ) as session,
            session.post(target, data=body, headers=headers, allow_redirects=False) as reply,
        ):
            await reply.content.read(_REPLY_LIMIT)
            return _judged(reply, now)
    except TimeoutError:
        return Reply(f"no reply within {timeout_s:g} s")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return _failed(error, target.host or "")


def _failed(error: Exception, host: str) -> Reply:
    """Describes an error. Its own text may hold the URL."""
    cause = getattr(error, "os_error", None) or error
    if "is not a public address" in str(cause):
        return Reply(
            f"{host} leads to an address that is not public: if workers may call it, add it to `callback_hosts`",
            is_final=True,
        )
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Reply(f"the name {host} cannot be resolved")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Reply(f"the certificate of {host} is not valid")
    return Reply(f"{host} cannot be reached: {getattr(cause, 'strerror', None) or type(cause).__name__}")


def _judged(reply: aiohttp.ClientResponse, now: float) -> Reply:
    status = reply.status
    if 300 <= status < 400:
        return Reply(f"HTTP {status}: redirects are not followed; use the final URL", status)
    if status == _GONE:
        return Reply("HTTP 410: the receiver wants no more callbacks", status, is_final=True)
    asked_s = read_retry_after_s(reply.headers, now) if status in (_TOO_MANY, _UNAVAILABLE) else None
    return Reply(f"HTTP {status}", status, retry_after_s=asked_s or 0.0)
