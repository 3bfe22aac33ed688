"""Has Redis fail at chosen commands, on the side of redis-py: each call of a client or a pipeline counts as one."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest.mock import patch

import redis
import redis.asyncio.client
import redis.client
from redis._parsers.base import BaseParser

#: What a producer calls, also through kombu; what a worker's event loop calls.
BLOCKING = ((redis.Redis, "execute_command"), (redis.client.Pipeline, "execute"))
ASYNC = ((redis.asyncio.Redis, "execute_command"), (redis.asyncio.client.Pipeline, "execute"))

#: Replies of a Redis that cannot be used.
STATES = (
    "READONLY You can't write against a read only replica.",
    "UNBLOCKED force unblock from blocking operation, instance state changed",
    "MASTERDOWN Link with MASTER is down",
    "LOADING Redis is loading the dataset in memory",
    "BUSY Redis is busy running a script.",
    "NOREPLICAS Not enough good replicas to write.",
    "ERR max number of clients reached",
    "OOM command not allowed when used memory > 'maxmemory'.",
    "MISCONF Redis is configured to save RDB snapshots, but is unable to",
    "NOAUTH Authentication required.",
    "WRONGPASS invalid username-password pair or user is disabled.",
    "NOPERM this user has no permissions to run the 'evalsha' command",
)

#: In place of a reply: the command ran, but its reply is lost.
LOST = "lost"


def error_of(state: str) -> redis.RedisError:
    """What redis-py raises for it."""
    return redis.ConnectionError("Connection closed by server.") if state == LOST else BaseParser.parse_error(state)


@contextmanager
def failing(
    methods: tuple[tuple[type, str], ...], state: str, first: int, times: int = 1
) -> Iterator[Callable[[], int]]:
    """Fails the calls from number `first` (0: the next one) on, `times` of them; gives how many have failed."""
    called = 0

    def fails() -> bool:
        nonlocal called
        called += 1
        return first < called <= first + times

    def blocking(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            if not fails():
                return method(*args, **kwargs)
            if state == LOST:
                method(*args, **kwargs)
            raise error_of(state)

        return call

    def asynchronous(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        async def call(*args: Any, **kwargs: Any) -> Any:
            if not fails():
                return await method(*args, **kwargs)
            if state == LOST:
                await method(*args, **kwargs)
            raise error_of(state)

        return call

    with ExitStack() as patches:
        for owner, name in methods:
            wrapped = asynchronous if methods is ASYNC else blocking
            patches.enter_context(patch.object(owner, name, wrapped(getattr(owner, name))))
        yield lambda: min(max(called - first, 0), times)
