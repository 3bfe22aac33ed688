"""Real Redis servers, for tests that need one of their own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from threadmill_cli.local.processes import Process
from threadmill_cli.local.services import free_port, redis_server


@contextmanager
def own_redis(
    folder: Path, config: str = "", port: int | None = None, password: str | None = None, program: str | None = None
) -> Iterator[int]:
    """Runs a server that keeps nothing on disk, and yields its port.

    `config`: more lines of its configuration. `password`: the one that these lines set. `program`: default, the
    server of the tests.
    """
    port = port or free_port()
    lines = f'port {port}\nbind 127.0.0.1\ndir "{folder}"\nsave ""\nappendonly no\n{config}\n'
    server = Process("redis", [program or redis_server(), "-"], folder / "redis.log", {}, lines)
    try:
        with redis.Redis(port=port, password=password) as connection:
            server.wait_until(lambda: answers(connection))
        yield port
    finally:
        server.stop()


def answers(connection: redis.Redis) -> bool:
    try:
        return bool(connection.ping())
    except redis.ConnectionError:
        return False
