"""Creates Redis clients from a URL, for blocking calls and for an event loop.

With Sentinel, they are clients of the current master. A new connection asks the sentinels where it is. A connection to
a server that is no longer the master is closed by the error that it receives, so the next call connects to the new one.
"""

from collections.abc import Iterable, Mapping
from typing import Any, cast

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import SentinelManagedConnection as AsyncManaged
from redis.asyncio.sentinel import SentinelManagedSSLConnection as AsyncManagedTls
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, SentinelManagedConnection, SentinelManagedSSLConnection

from threadmill.redis.errors import SentinelRefusal
from threadmill.redis.url import RedisUrl, parse

#: Timeouts of a connection, in seconds. No call waits longer for its reply.
TIMEOUTS = {"socket_timeout": 15.0, "socket_connect_timeout": 5.0}

#: Timeouts of a connection to a sentinel; after them the next sentinel is tried.
SENTINEL_TIMEOUTS = {"socket_timeout": 2.0, "socket_connect_timeout": 2.0}

#: Replies are decoded to text, so that damaged bytes can be written back unchanged.
_DECODING = {"decode_responses": True, "encoding_errors": "surrogateescape"}

#: Connections of an async client, and how many seconds further calls wait for a free one.
_CONNECTIONS = 50
_WAIT_S = 30

#: A sentinel's data about the masters that it watches, by name.
_Masters = Mapping[str, Mapping[str, Any]]


def blocking(url: str) -> redis.Redis:
    """Returns a client for blocking calls, which decodes replies."""
    parsed = parse(url)
    options = _options(parsed)
    if parsed.sentinels:
        options["connection_class"] = SentinelManagedSSLConnection if parsed.tls else SentinelManagedConnection
        options["connection_pool"] = Master(parsed)
    elif "path" in options:
        options["connection_class"] = redis.UnixDomainSocketConnection
    elif parsed.tls:
        options["connection_class"] = redis.SSLConnection
    return redis.Redis.from_pool(redis.ConnectionPool(**options))


def asynchronous(url: str) -> redis.asyncio.Redis:
    """Returns a client for an event loop, which decodes replies. Call it inside the loop."""
    parsed = parse(url)
    options = {"max_connections": _CONNECTIONS, "timeout": _WAIT_S, **_options(parsed)}
    if parsed.sentinels:
        options["connection_class"] = AsyncManagedTls if parsed.tls else AsyncManaged
        options["connection_pool"] = _AsyncMaster(parsed)
    elif "path" in options:
        options["connection_class"] = redis.asyncio.UnixDomainSocketConnection
    elif parsed.tls:
        options["connection_class"] = redis.asyncio.SSLConnection
    return redis.asyncio.Redis.from_pool(redis.asyncio.BlockingConnectionPool(**options))


def sentinel_options(url: RedisUrl) -> dict[str, Any]:
    """Returns redis-py's keyword arguments for a sentinel. kombu logs their texts, which hold no password."""
    options: dict[str, Any] = {**SENTINEL_TIMEOUTS, **({"ssl": True, **url.tls} if url.tls else {})}
    if url.sentinel_options:
        options["credential_provider"] = redis.UsernamePasswordCredentialProvider(**url.sentinel_options)
    return options


def _options(url: RedisUrl) -> dict[str, Any]:
    options = {**_DECODING, **TIMEOUTS, **url.options, **(url.tls or {})}
    if "path" in options:
        del options["socket_connect_timeout"]
    return options


class _Finder:
    """Has the attributes that a managed connection needs of its pool, in addition to `get_master_address`."""

    is_master = True
    check_connection = False

    def __init__(self, url: RedisUrl) -> None:
        self.service_name = url.master
        self._sentinels = url.sentinels
        self._options = sentinel_options(url)


class Master(_Finder):
    """Finds the master."""

    _retry = Retry(NoBackoff(), 0)

    def get_master_address(self) -> tuple[str, int]:
        """Raises MasterNotFoundError."""
        errors: list[Exception] = []
        known: list[str] = []
        for host, port in self._sentinels:
            with redis.Redis(host=host, port=port, retry=self._retry, **self._options) as sentinel:
                try:
                    masters = cast(_Masters, sentinel.sentinel_masters())
                except (redis.ConnectionError, redis.TimeoutError) as error:
                    errors.append(error)
                    continue
            if address := _address(masters, self.service_name):
                return address
            known += masters
        raise _not_found(self.service_name, known, errors)


class _AsyncMaster(_Finder):
    """Finds the master, for an event loop."""

    _retry = AsyncRetry(NoBackoff(), 0)

    async def get_master_address(self) -> tuple[str, int]:
        """Raises MasterNotFoundError."""
        errors: list[Exception] = []
        known: list[str] = []
        for host, port in self._sentinels:
            async with redis.asyncio.Redis(host=host, port=port, retry=self._retry, **self._options) as sentinel:
                try:
                    masters = cast(_Masters, await sentinel.sentinel_masters())
                except (redis.ConnectionError, redis.TimeoutError) as error:
                    errors.append(error)
                    continue
            if address := _address(masters, self.service_name):
                return address
            known += masters
        raise _not_found(self.service_name, known, errors)


def _address(masters: _Masters, name: str) -> tuple[str, int] | None:
    """Returns the master's address from a sentinel's data; None if the master is unknown or down."""
    state = masters.get(name)
    if not state or not state["is_master"] or state["is_sdown"] or state["is_odown"]:
        return None
    return state["ip"], state["port"]


def _not_found(name: str, known: Iterable[str], errors: Iterable[Exception]) -> MasterNotFoundError:
    """`known`: the masters that sentinels know; `errors`: of those that did not answer."""
    reasons = "; ".join(dict.fromkeys(map(str, errors)))
    if refused := [error for error in errors if isinstance(error, redis.AuthenticationError)]:
        return SentinelRefusal(
            f"has sentinels that refuse us ({refused[0]})",
            "set sentinel_password=PASSWORD, and sentinel_username=USER if they have users, after `?` in REDIS_URL",
        )
    if name in known:
        return MasterNotFoundError(f"the master {name!r} is down, and the sentinels have not elected another one yet")
    if known:
        names = ", ".join(map(repr, sorted(set(known))))
        return SentinelRefusal(
            f"has sentinels without a master {name!r}", f"correct master= in REDIS_URL to one of {names}"
        )
    return MasterNotFoundError(f"no sentinel answers: {reasons}" if reasons else "the sentinels know no master")
