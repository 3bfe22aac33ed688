"""A connection to Redis, and how its absence is borne."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import redis
from redis.commands.core import Script

from threadmill.errors import StoreUnavailable
from threadmill.keys import Keys
from threadmill.settings import Settings

#: A waiter looks up at least this often, so that no lost wake-up can hold it.
BLOCK_S = 5.0

#: Between two tries of a reader while Redis is away: doubles from the first to the longest.
_PAUSE_FIRST_S = 0.1
_PAUSE_LONGEST_S = 2.0

#: Entries of a stream read in one go.
_AT_ONCE = 1000

_T = TypeVar("_T")


class Connection:
    """Blocking calls on one Redis; each raises StoreUnavailable when Redis does not answer.

    They do so at once, but for a reader that waits for results: it bears Redis being away for `redis_patience_s`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._prefix = settings.key_prefix
        self._keys = Keys(settings.key_prefix)
        self._redis = redis.Redis.from_url(
            settings.redis_url, decode_responses=True, socket_timeout=BLOCK_S * 3, socket_connect_timeout=5
        )

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise StoreUnavailable(self._settings.redis_url, error) from error

    def _call(self, script: Script, *args: Any) -> Any:
        with self._reaching():
            return script(args=[self._prefix, *args])

    def patiently(self, read: Callable[[], _T], stop_at: float = math.inf) -> _T:
        """Repeats a call that bears repetition while Redis is away, until `stop_at` at the latest."""
        stop_at = min(stop_at, time.monotonic() + self._settings.redis_patience_s)
        pause_s = _PAUSE_FIRST_S
        while True:
            try:
                return read()
            except StoreUnavailable:
                if time.monotonic() + pause_s > stop_at:
                    raise
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, _PAUSE_LONGEST_S)

    def _read(self, after: dict[str, str], block_s: float) -> list[tuple[str, str, dict[str, str]]]:
        """What each of these streams has after an entry: the stream, the entry's id, its fields."""
        # Redis looks at the timeouts of who waits ten times a second: even a wait of 1 ms may take 100.
        block_ms = max(1, int(block_s * 1000)) if block_s > 0 else None
        with self._reaching():
            replies = cast(Any, self._redis.xread(cast(Any, after), count=_AT_ONCE, block=block_ms))
        if isinstance(replies, dict):  # RESP3
            chunked = [(stream, entry) for stream, chunks in replies.items() for chunk in chunks for entry in chunk]
        else:
            chunked = [(stream, entry) for stream, entries in replies for entry in entries]
        return [(stream, entry_id, fields) for stream, (entry_id, fields) in chunked]
