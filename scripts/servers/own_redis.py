"""A Redis of its own, for threadmill or for a server that is checked."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from threadmill_cli.local.processes import Process
from threadmill_cli.local.services import free_port, redis_server


@contextmanager
def own_redis(folder: Path) -> Iterator[int]:
    """Runs a Redis that keeps nothing on disk, and yields its port. Its log is in the folder."""
    port = free_port()
    config = f'port {port}\nbind 127.0.0.1\ndir "{folder}"\nappendonly no\nsave ""\n'
    server = Process("redis", [redis_server(), "-"], folder / "redis.log", {}, config)
    try:
        with redis.Redis(port=port) as connection:
            server.wait_until(lambda: _answers(connection))
        yield port
    finally:
        server.stop()


def _answers(connection: redis.Redis) -> bool:
    try:
        return bool(connection.ping())
    except redis.ConnectionError:
        return False
