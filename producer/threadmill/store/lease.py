"""A lease in Redis: one holder at a time, until it releases the lease or no longer renews it. Who loses it must stop.

redis-py's `Lock` does each step; it renews and releases a lease for its owner alone. `WRITE` is the step that it lacks.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from types import TracebackType
from typing import Self

import redis.asyncio
from redis.asyncio.lock import Lock as AsyncLock
from redis.exceptions import LockError, RedisError
from redis.lock import Lock

from threadmill.errors import StoreUnavailable, ThreadmillError

#: KEYS: the lease, a hash; owner, field, value -> 1, or 0 if the lease is another's by now, or nobody's
WRITE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
return 1
"""


class LeaseLost(ThreadmillError):
    """Another process may have taken the lease: stop, and change nothing more."""


class Lease:
    """A lease to take with `take`. Inside the context a thread renews it; at its end it is released.

    `reaching`: turns the errors of Redis into StoreUnavailable. `thing`: what is leased, for messages.
    """

    def __init__(
        self,
        client: redis.Redis,
        key: str,
        lease_s: float,
        reaching: Callable[[], AbstractContextManager[None]],
        thing: str,
    ) -> None:
        self._lock = Lock(client, key, timeout=lease_s, blocking=False, thread_local=False)
        self._write = client.register_script(WRITE)
        self._key = key
        self._lease_s = lease_s
        self._reaching = reaching
        self._thing = thing
        self._is_lost = False
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._keep_renewing, name=f"lease of {thing}", daemon=True)

    def take(self, owner: str) -> bool:
        """Whether it is ours now. `owner`: a text that no other holder has. Raises StoreUnavailable."""
        with self._reaching():
            return bool(self._lock.acquire(token=owner))

    def check(self) -> None:
        """Raises LeaseLost; takes no time."""
        if self._is_lost:
            raise LeaseLost(f"{self._thing}: its lease lapsed, another process may have it now")

    def ensure(self) -> None:
        """Raises LeaseLost if it is not ours in Redis, and StoreUnavailable."""
        self._renew()
        self.check()

    def write(self, key: str, field: str, value: str) -> None:
        """Sets a field of a hash. Raises LeaseLost, and then nothing was written; and StoreUnavailable."""
        with self._reaching():
            self._is_lost |= not self._write(keys=[self._key, key], args=[self._lock.local.token, field, value])
        self.check()

    def _renew(self) -> None:
        with self._reaching():
            try:
                self._lock.reacquire()
            except LockError:
                self._is_lost = True

    def _keep_renewing(self) -> None:
        lapses_at = time.monotonic() + self._lease_s
        while not self._left.wait(self._lease_s / 3):
            renewing_at = time.monotonic()
            try:
                self._renew()
                lapses_at = renewing_at + self._lease_s
            except StoreUnavailable:  # it may be back before the lease lapses
                self._is_lost |= time.monotonic() > lapses_at

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        with suppress(StoreUnavailable), self._reaching(), suppress(LockError):  # then it lapses, or is another's
            self._lock.release()
        self._thread.join(self._lease_s)


async def take(client: redis.asyncio.Redis, key: str, owner: str, lease_s: float) -> AsyncLock | None:
    """The lease, if it is ours now. `owner`: a text that no other holder has. Raises RedisError."""
    lock = AsyncLock(client, key, timeout=lease_s, blocking=False, thread_local=False)
    return lock if await lock.acquire(token=owner) else None


@asynccontextmanager
async def holding(client: redis.asyncio.Redis, key: str, owner: str, lease_s: float) -> AsyncIterator[bool]:
    """Whether the lease is ours; then it is renewed inside the context, and released at its end.

    Once it is lost, or cannot be renewed in time, what runs inside is cancelled. Raises LeaseLost then, and RedisError.
    """
    taking_at = asyncio.get_running_loop().time()
    lock = await take(client, key, owner, lease_s)
    if lock is None:
        yield False
        return
    try:
        async with asyncio.timeout_at(taking_at + lease_s) as limit:
            renewal = asyncio.create_task(_keep_renewing(lock, lease_s, limit))
            try:
                yield True
            finally:
                renewal.cancel()
    except TimeoutError:
        if not limit.expired():
            raise
        raise LeaseLost(f"the lease {key} lapsed, another process may have it now") from None
    finally:
        with suppress(RedisError):  # then it lapses, or is another's
            await lock.release()


async def _keep_renewing(lock: AsyncLock, lease_s: float, limit: asyncio.Timeout) -> None:
    now = asyncio.get_running_loop().time
    while not limit.expired():
        await asyncio.sleep(lease_s / 3)
        lapses_at = now() + lease_s
        try:
            await lock.reacquire()
        except LockError:
            lapses_at = now()
        except RedisError:  # it may be back before the lease lapses
            continue
        if not limit.expired():
            limit.reschedule(lapses_at)
