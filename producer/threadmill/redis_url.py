"""What the URL of Redis must look like."""

import re
from urllib.parse import urlsplit

import redis

_EXAMPLE = "write it as redis://HOST:6379/0"


def check(url: str) -> str:
    """Returns the URL, complete for Celery too. Raises ValueError, whose text holds no part of a password."""
    scheme, separator, _ = url.partition("://")
    if not separator:
        raise ValueError(f"is not a URL; {_EXAMPLE}")
    if scheme not in ("redis", "rediss"):
        raise ValueError("its scheme must be redis, or rediss for TLS; " + _EXAMPLE)
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # its text may hold the password
        raise ValueError(
            f"its port is not a number from 0 to 65535; {_EXAMPLE}, and percent-encode /, ?, # and @ in a password"
        ) from None
    if not re.fullmatch(r"/?\d*", parts.path):
        raise ValueError(f"its database is not a number; {_EXAMPLE}")
    if scheme == "rediss" and "ssl_cert_reqs=" not in parts.query:  # Celery refuses a URL that does not say it
        url += f"{'&' if parts.query else '?'}ssl_cert_reqs=required"
    try:
        redis.ConnectionPool.from_url(url).make_connection()
    except (TypeError, ValueError, redis.RedisError):
        raise ValueError(f"has an option after `?` that cannot be used; {_EXAMPLE}") from None
    return url
