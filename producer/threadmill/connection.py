"""A connection to Redis: what its errors mean, and waiting while it is away."""

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import redis
import redis.exceptions
from redis.commands.core import Script

from threadmill import redis_client, redis_rights
from threadmill.errors import StoreRefused, StoreUnavailable
from threadmill.keys import Keys
from threadmill.redis_rights import Right
from threadmill.settings import Settings

#: A waiter looks up at least this often, so that no lost wake-up can hold it.
BLOCK_S = 5.0

#: Between two tries of a reader while Redis is away: doubles from the first to the longest.
_PAUSE_FIRST_S = 0.1
_PAUSE_LONGEST_S = 2.0

#: Commands sent in one round trip, so that none of them blocks Redis for long.
CHUNK = 300

#: Entries of a stream read in one go.
_AT_ONCE = 1000

#: Redis is away, loads its data, or fails over to a replica.
_AWAY = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.TryAgainError,
    redis.exceptions.MasterDownError,
)

_CLUSTER = ("is a Redis Cluster, which threadmill does not support", "use a Redis without cluster mode")

#: What a node of a cluster says of scripts and keys of ours.
_SAYS_CLUSTER = re.compile(r"\bcluster\b|hash slot|same slot", re.IGNORECASE)

_T = TypeVar("_T")


def chunks(values: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """The values in groups that one round trip carries."""
    return (values[start : start + CHUNK] for start in range(0, len(values), CHUNK))


class Connection:
    """Blocking calls on one Redis.

    Each raises StoreUnavailable at once if Redis does not answer, and StoreRefused if it refuses. Only a call that
    waits for results repeats itself while Redis is away, for `redis_patience_s` at most.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._prefix = settings.key_prefix
        self._keys = Keys(settings.key_prefix)
        self._redis = redis_client.blocking(settings.redis_url)

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except redis.RedisError as error:
            url = self._settings.redis_url
            if refusal := _refusal(error, url):
                raise StoreRefused(url, *refusal) from error
            if isinstance(error, _AWAY):
                raise StoreUnavailable(url, error) from error
            raise

    def ping(self) -> bool:
        """True. Raises StoreUnavailable or StoreRefused if Redis cannot be used now."""
        with self._reaching():
            return bool(self._redis.ping())

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
            raise StoreRefused(self._settings.redis_url, *_CLUSTER)
        return info

    def missing_rights(self, rights: Sequence[Right]) -> list[str]:
        """The ACL rules that the user of the URL lacks for them."""
        with self._reaching():
            return redis_rights.missing(self._redis, rights)

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


def _refusal(error: redis.RedisError, url: str) -> tuple[str, str] | None:
    """What Redis refuses, and the remedy; None if the error is no refusal."""
    said = str(error).rpartition("caused error: ")[2]  # before it, a pipeline quotes the command with its arguments
    if isinstance(error, redis_client.SentinelRefusal):
        return error.what, error.remedy
    if isinstance(error, redis.AuthenticationError):
        if "without any password" in said:
            return "has no password, but REDIS_URL gives one", "remove it from REDIS_URL"
        if urlsplit(url).password is None:
            return "needs a password", "set REDIS_URL=redis://:PASSWORD@HOST:6379/0"
        return "refused the password", "correct it in REDIS_URL; percent-encode special characters"
    if isinstance(error, redis.exceptions.NoPermissionError) or "user executing the script" in said:
        remedy = "permit it in the ACL of the user in REDIS_URL; `threadmill doctor` names all that is missing"
        return f"does not permit a command ({said})", remedy
    if isinstance(error, redis.exceptions.OutOfMemoryError):
        return "is out of memory", "raise its `maxmemory`, or let it run on a larger machine"
    if isinstance(error, redis.exceptions.AskError) or _SAYS_CLUSTER.search(said):
        return _CLUSTER
    if "DB index" in said:
        return "has no database of this number", "use a lower one in REDIS_URL; Redis has 0 to 15 by default"
    if said.startswith("MISCONF"):
        return "accepts no writes because it cannot save to its disk", "free disk space there, and see Redis' log"
    return None
