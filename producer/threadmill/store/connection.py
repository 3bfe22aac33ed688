"""The connection to Redis: translates its errors and retries while it is unavailable."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, TypeVar, cast

import redis
import redis.exceptions
from kombu.exceptions import KombuError
from redis.client import Pipeline

from threadmill.errors import StoreRefused, StoreUnavailable, ThreadmillError
from threadmill.redis import client
from threadmill.redis.errors import CLUSTER, redis_error_of, reply_of, trouble_of
from threadmill.settings.settings import Settings
from threadmill.store import rights as redis_rights
from threadmill.store.keys import Keys
from threadmill.store.rights import Right
from threadmill.store.scripts import Scripts

#: A waiting call checks at least this often, in case it missed a notification.
BLOCK_S = 5.0

#: Pause between two attempts while Redis is unavailable; it doubles from the first to the longest.
_PAUSE_FIRST_S = 0.1
_PAUSE_LONGEST_S = 2.0

#: Commands in one round trip; more would block Redis for too long.
CHUNK = 300

#: Stream entries read by one command.
_AT_ONCE = 1000

_T = TypeVar("_T")


def chunks(values: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """Splits the values into groups for one round trip each."""
    return (values[start : start + CHUNK] for start in range(0, len(values), CHUNK))


@contextmanager
def translate_errors(redis_url: str) -> Iterator[None]:
    """Translates errors of redis-py and kombu into StoreUnavailable and StoreRefused."""
    try:
        yield
    except ThreadmillError:
        raise
    except (redis.RedisError, KombuError, OSError, ValueError, LookupError) as error:
        raise unavailable(redis_url, error) from error


def moment_of(reply: tuple[int, int]) -> datetime:
    """Converts a reply of TIME."""
    seconds, microseconds = reply
    return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)


class Connection:
    """Blocking calls to one Redis.

    Each call raises StoreUnavailable at once if Redis cannot be used, and StoreRefused if a retry cannot help. Only
    calls that wait for results retry, for `redis_outage_tolerance_s` at most.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keys = Keys(settings.key_prefix)
        self._redis = client.blocking(settings.redis_url)
        self._scripts = Scripts(self._redis, settings.key_prefix, settings.queue)

    def _translate_errors(self) -> AbstractContextManager[None]:
        return translate_errors(self._settings.redis_url)

    def close(self) -> None:
        """Closes the connections that no call uses; the next call opens one."""
        self._redis.close()

    def ping(self) -> bool:
        """Returns True. Raises StoreUnavailable or StoreRefused if Redis cannot be used."""
        with self._translate_errors():
            return bool(self._redis.ping())

    def now(self) -> datetime:
        """Returns the time by Redis' clock, which all records use."""
        with self._translate_errors():
            return moment_of(self._redis.time())

    def clock_skew_s(self) -> float:
        """Returns how many seconds this machine's clock is ahead of Redis' clock; negative if it is behind."""
        asked_at = datetime.now(UTC)
        now = self.now()
        half_way = asked_at + (datetime.now(UTC) - asked_at) / 2
        return (half_way - now).total_seconds()

    def info(self) -> Mapping[str, Any] | None:
        """Returns the reply of INFO, or None if the user may not call it.

        Raises StoreRefused if it is a Redis Cluster.
        """
        with self._translate_errors():
            try:
                info = self._redis.info()
            except redis.exceptions.NoPermissionError:
                return None
        if info.get("cluster_enabled"):
            raise StoreRefused(self._settings.redis_url, CLUSTER.what, CLUSTER.remedy)
        return info

    def missing_rights(self, rights: Sequence[Right]) -> list[str]:
        """Returns the ACL rules that the user in the URL lacks for these rights."""
        with self._translate_errors():
            return redis_rights.missing(self._redis, rights)

    def _replies(self, pipe: Pipeline) -> list[Any]:
        """Executes a pipeline of reads; the reply is None for a key of another type."""
        replies = pipe.execute(raise_on_error=False)
        for reply in replies:
            if isinstance(reply, Exception) and not str(reply).startswith("WRONGTYPE"):
                raise reply
        return [None if isinstance(reply, Exception) else reply for reply in replies]

    def _run(self, script: str, **request: Any) -> Any:
        """Runs the script and returns its reply."""
        with self._translate_errors():
            return self._scripts.run(script, request)

    def ranked(self, key: str, *, highest_first: bool = False) -> Iterator[tuple[str, float]]:
        """Yields the members of a sorted set with their scores, in this order; reads a few hundred at a time.

        A member may come twice if others are added meanwhile, and be left out if others are removed.
        """
        for start in count(step=CHUNK):
            with self._translate_errors():
                found = cast(Any, self._redis.zrange(key, start, start + CHUNK - 1, highest_first, True))
            yield from found
            if len(found) < CHUNK:
                return

    def with_retries(self, read: Callable[[], _T], stop_at: float = math.inf) -> _T:
        """Calls `read` and retries while Redis is unavailable, until `stop_at` (monotonic) at the latest."""
        retries = Retries(self._settings.redis_outage_tolerance_s, stop_at)
        while True:
            try:
                return read()
            except StoreUnavailable as error:
                if (pause_s := retries.pause_after(error)) is None:
                    raise
            time.sleep(pause_s)

    def _read(self, after: dict[str, str], block_s: float) -> list[tuple[str, str, dict[str, str]]]:
        """Returns (stream, entry id, fields) for the entries of each stream after the given id."""
        # Redis checks timeouts ten times a second: even a wait of 1 ms may take 100 ms.
        block_ms = max(1, int(block_s * 1000)) if block_s > 0 else None
        with self._translate_errors():
            replies = cast(Any, self._redis.xread(cast(Any, after), count=_AT_ONCE, block=block_ms))
        return stream_entries(replies)


def stream_entries(replies: Any) -> list[tuple[str, str, dict[str, str]]]:
    """Returns (stream, entry id, fields) for the entries in a reply of XREAD."""
    if isinstance(replies, dict):  # RESP3
        chunked = [(stream, entry) for stream, chunks in replies.items() for chunk in chunks for entry in chunk]
    else:
        chunked = [(stream, entry) for stream, entries in replies for entry in entries]
    return [(stream, entry_id, fields) for stream, (entry_id, fields) in chunked]


class Retries:
    """When to call Redis again while it is unavailable."""

    def __init__(self, tolerance_s: float, stop_at: float = math.inf) -> None:
        """No retry comes later than `tolerance_s` after the first error, or than `stop_at` (monotonic)."""
        self._tolerance_s = tolerance_s
        self._stop_at = stop_at
        self._pause_s: float | None = None

    def pause_after(self, error: StoreUnavailable) -> float | None:
        """Returns the pause before the next call, in seconds; None: it would come too late, or cannot help."""
        now = time.monotonic()
        if self._pause_s is None:
            self._stop_at = min(self._stop_at, now + self._tolerance_s)
            self._pause_s = _PAUSE_FIRST_S
        pause_s = self._pause_s
        self._pause_s = min(pause_s * 2, _PAUSE_LONGEST_S)
        return None if isinstance(error, StoreRefused) or now + pause_s > self._stop_at else pause_s


def unavailable(redis_url: str, error: Exception) -> StoreUnavailable:
    """Returns the exception for an error of redis-py or kombu."""
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
