"""Parses the URL of Redis.

    redis://[USER:PASSWORD@]HOST[:6379][/0]                                      rediss:// for TLS
    unix://[USER:PASSWORD@]/PATH[?db=0]
    sentinel://[USER:PASSWORD@]HOST[:26379],HOST[:26379][/0]?master=NAME         sentinels:// for TLS

Options follow `?`: those of redis-py, and `sentinel_username` and `sentinel_password` for the sentinels themselves.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import redis
from redis.connection import parse_url

_EXAMPLE = "write it as redis://HOST:6379/0"
_SENTINEL_EXAMPLE = "write it as sentinel://HOST:26379,HOST:26379/0?master=NAME"
_ENCODE = "percent-encode /, ?, # and @ in a password"

_SENTINEL_PORT = 26379
_TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


@dataclass(frozen=True)
class RedisUrl:
    """A Redis URL in its parts.

    `options`: keyword arguments of a redis-py connection to Redis (host, port or path, db, username, password, others).
    `tls`: those for TLS, of connections to Redis and to the sentinels; None without TLS.
    `sentinels`, `master`, `sentinel_options`: where to ask for the address of Redis; none without Sentinel.
    """

    options: Mapping[str, Any]
    tls: Mapping[str, Any] | None
    sentinels: tuple[tuple[str, int], ...] = ()
    master: str = ""
    sentinel_options: Mapping[str, Any] = field(default_factory=dict)


def check(url: str) -> str:
    """Returns the URL. Raises ValueError, whose text holds no part of a password."""
    parsed = parse(url)
    for option in _TLS_FILES:
        if (file := (parsed.tls or {}).get(option)) and not Path(file).is_file():
            raise ValueError(f"its option `{option}` names a file that does not exist: {file}")
    return url


def parse(url: str) -> RedisUrl:
    """Raises ValueError, whose text holds no part of a password."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise ValueError(f"is not a URL; {_EXAMPLE}")
    if "cluster" in scheme:
        raise ValueError(f"names a Redis Cluster, which threadmill does not support; {_EXAMPLE}")
    if scheme in ("sentinel", "sentinels"):
        return _sentinels(rest, tls=scheme == "sentinels")
    if scheme == "unix":
        return _unix(url)
    if scheme in ("redis", "rediss"):
        return _direct(url, tls=scheme == "rediss")
    raise ValueError(f"its scheme must be redis, rediss (TLS), unix, sentinel or sentinels (TLS); {_EXAMPLE}")


def _direct(url: str, *, tls: bool) -> RedisUrl:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # its text may hold the password
        raise ValueError(f"its port is not a number from 0 to 65535; {_EXAMPLE}, and {_ENCODE}") from None
    if not re.fullmatch(r"/?\d*", parts.path):
        raise ValueError(f"its database is not a number; {_EXAMPLE}")
    return RedisUrl(*_options(url, tls, _EXAMPLE))


def _unix(url: str) -> RedisUrl:
    example = "write it as unix:///run/redis/redis.sock?db=0"
    if not urlsplit(url).path.strip("/"):
        raise ValueError(f"has no path; {example}, and {_ENCODE}")
    return RedisUrl(*_options(url, False, example))


def _sentinels(rest: str, *, tls: bool) -> RedisUrl:
    address, _, query = rest.partition("?")
    address, _, database = address.partition("/")
    user, at, hosts = address.rpartition("@")
    if not re.fullmatch(r"\d*", database):
        raise ValueError(f"its database is not a number; {_SENTINEL_EXAMPLE}, and {_ENCODE}")
    sentinels = tuple(map(_sentinel, hosts.split(",")))
    given = dict(parse_qsl(query))
    master = given.pop("master", "")
    if not master:
        raise ValueError(f"names no master: add master=NAME, the NAME of `sentinel monitor NAME`; {_SENTINEL_EXAMPLE}")
    prefix = "sentinel_"
    own = [name for name in (f"{prefix}username", f"{prefix}password") if name in given]
    sentinel_options = {name.removeprefix(prefix): given.pop(name) for name in own}
    direct = f"{'rediss' if tls else 'redis'}://{user}{at}host/{database or 0}?{urlencode(given)}"
    options, tls_options = _options(direct, tls, _SENTINEL_EXAMPLE)
    del options["host"]
    return RedisUrl(options, tls_options, sentinels, master, sentinel_options)


def _sentinel(address: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname, parts.port or _SENTINEL_PORT
    except ValueError:  # its text may hold the password
        host = None
    if not host:
        raise ValueError(
            f"has a sentinel without a host, or whose port is no number; {_SENTINEL_EXAMPLE}, and {_ENCODE}"
        )
    return host, port


def _options(url: str, tls: bool, example: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Returns the options of a connection, and separately the options for TLS."""
    unusable = ValueError(f"has an option after `?` that cannot be used; {example}")
    try:
        options = dict(parse_url(url))  # type: ignore[no-untyped-call]
        connection = options.pop("connection_class", redis.Connection)
        redis.ConnectionPool(connection_class=connection, **options).make_connection()
    except (TypeError, ValueError, redis.RedisError):  # its text may hold the password
        raise unusable from None
    for_tls = {name: options.pop(name) for name in list(options) if name.startswith("ssl_")}
    return options, {"ssl_cert_reqs": "required"} | for_tls if tls else None
