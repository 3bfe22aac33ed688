"""A connection to Redis: what its errors mean, and waiting while it is away."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

import redis
import redis.exceptions
from kombu.exceptions import KombuError
from redis.client import Pipeline
from redis.commands.core import Script

from threadmill.errors import StoreRefused, StoreUnavailable, ThreadmillError
from threadmill.redis import client
from threadmill.redis.errors import CLUSTER, redis_error_of, reply_of, trouble_of
from threadmill.settings.settings import Settings
from threadmill.store import rights as redis_rights
from threadmill.store.keys import Keys
from threadmill.store.rights import Right

#: A waiter looks up at least this often, so that no lost wake-up can hold it.
BLOCK_S = 5.0

#: Between two tries of a reader while Redis is away: doubles from the first to the longest.
_PAUSE_FIRST_S = 0.1
_PAUSE_LONGEST_S = 2.0

#: Commands sent in one round trip, so that none of them blocks Redis for long.
CHUNK = 300

#: Entries of a stream read in one go.
_AT_ONCE = 1000

_T = TypeVar("_T")


def chunks(values: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """The values in groups that one round trip carries."""
    return (values[start : start + CHUNK] for start in range(0, len(values), CHUNK))


@contextmanager
def reaching(redis_url: str) -> Iterator[None]:
    """For calls on Redis, also through kombu: raises StoreUnavailable or StoreRefused for whatever they raise."""
    try:
        yield
    except ThreadmillError:
        raise
    except (redis.RedisError, KombuError, OSError, ValueError, LookupError) as error:
        raise unavailable(redis_url, error) from error


def moment_of(reply: tuple[int, int]) -> datetime:
    """The moment that a reply of TIME names."""
    seconds, microseconds = reply
    return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)


class Connection:
    """Blocking calls on one Redis.

    Each raises StoreUnavailable at once if Redis cannot be used, whatever the reason, and StoreRefused if repetition
    does not help. Only a call that waits for results repeats itself, for `redis_patience_s` at most.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._prefix = settings.key_prefix
        self._keys = Keys(settings.key_prefix)
        self._redis = client.blocking(settings.redis_url)

    def _reaching(self) -> AbstractContextManager[None]:
        return reaching(self._settings.redis_url)

    def ping(self) -> bool:
        """True. Raises StoreUnavailable or StoreRefused if Redis cannot be used now."""
        with self._reaching():
            return bool(self._redis.ping())

    def now(self) -> datetime:
        """The current time by Redis' clock, which all moments in records are by."""
        with self._reaching():
            return moment_of(self._redis.time())

    def clock_skew_s(self) -> float:
        """By how many seconds this machine's clock is ahead of Redis'; negative if it is behind."""
        asked_at = datetime.now(UTC)
        now = self.now()
        half_way = asked_at + (datetime.now(UTC) - asked_at) / 2
        return (half_way - now).total_seconds()

    def info(self) -> Mapping[str, Any] | None:
        """Redis' own report on itself (INFO), or None if it does not permit us to read it.

        Raises StoreRefused if it is a Redis Cluster.
        """
        with self._reaching():
            try:
                info = self._redis.info()
            except redis.exceptions.NoPermissionError:
                return None
        if info.get("cluster_enabled"):
            raise StoreRefused(self._settings.redis_url, CLUSTER.what, CLUSTER.remedy)
        return info

    def missing_rights(self, rights: Sequence[Right]) -> list[str]:
        """The ACL rules that the user of the URL lacks for them."""
        with self._reaching():
            return redis_rights.missing(self._redis, rights)

    def _replies(self, pipe: Pipeline) -> list[Any]:
        """What the reads of a pipeline bring; None for a key that holds a value of another type."""
        replies = pipe.execute(raise_on_error=False)
        for reply in replies:
            if isinstance(reply, Exception) and not str(reply).startswith("WRONGTYPE"):
                raise reply
        return [None if isinstance(reply, Exception) else reply for reply in replies]

    def _call(self, script: Script, *args: Any) -> Any:
        with self._reaching():
            return script(args=[self._prefix, *args])

    def patiently(self, read: Callable[[], _T], stop_at: float = math.inf) -> _T:
        """Repeats a call that is safe to repeat while Redis is away, until `stop_at` at the latest."""
        stop_at = min(stop_at, time.monotonic() + self._settings.redis_patience_s)
        pause_s = _PAUSE_FIRST_S
        while True:
            try:
                return read()
            except StoreRefused:  # no repetition changes that
                raise
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


def unavailable(redis_url: str, error: Exception) -> StoreUnavailable:
    """What a caller is told of an error of redis-py or kombu."""
    trouble = trouble_of(error)
    if trouble is not None:
        kind = StoreRefused if trouble.is_refusal else StoreUnavailable
        return kind(redis_url, trouble.what, trouble.remedy)
    if cause := redis_error_of(error):
        said = reply_of(cause).partition(", with args")[0]  # which may quote a prompt
        return StoreRefused(
            redis_url, f"refused a command ({said:.200})", "see docs/deploy.md for what threadmill needs"
        )
    if isinstance(error, ValueError | LookupError):  # of redis-py's parser
        what = f"gave a reply that cannot be read ({type(error).__name__})"
        return StoreUnavailable(redis_url, what, "check that REDIS_URL leads to a Redis")
    return StoreUnavailable(redis_url, error)
