"""A Redis of its own, for threadmill or for a server that is checked."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from threadmill_cli.local.processes import Process
from threadmill_cli.local.services import free_port, redis_server


@contextmanager
def own_redis(folder: Path, *, durable: bool = False) -> Iterator[int]:
    """Runs a Redis and yields its port. Its log is in the folder. `durable`: its data, too, as deploy.md has it."""
    port, appendonly = free_port(), "yes" if durable else "no"
    config = (
        f'port {port}\nbind 127.0.0.1\ndir "{folder}"\nappendonly {appendonly}\nsave ""\n'
        "lazyfree-lazy-expire yes\nhash-max-listpack-value 4096\n"
    )
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
