"""A lease in Redis, held by one process at a time until that process releases it or stops renewing it.

redis-py's `Lock` does each step, and renews and releases a lease only for its owner. The script `write_with_lease`
adds a step.
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
from threadmill.store.scripts import Scripts


class LeaseLost(ThreadmillError):
    """Another process may hold the lease now: stop, and change nothing more."""


class Lease:
    """A lease. Acquire it with `take`, then enter the context: a thread renews it until the exit, which releases it.

    `translate_errors` turns errors of Redis into StoreUnavailable. `thing` names what is leased, for messages.
    """

    def __init__(
        self,
        client: redis.Redis,
        key: str,
        lease_s: float,
        translate_errors: Callable[[], AbstractContextManager[None]],
        thing: str,
    ) -> None:
        self._lock = Lock(client, key, timeout=lease_s, blocking=False, thread_local=False)
        self._scripts = Scripts(client, "")
        self._key = key
        self._owner = ""
        self._lease_s = lease_s
        self._translate_errors = translate_errors
        self._thing = thing
        self._is_lost = False
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._keep_renewing, name=f"lease of {thing}", daemon=True)

    def take(self, owner: str) -> bool:
        """Returns whether the lease was acquired. `owner` must be unique. Raises StoreUnavailable."""
        self._owner = owner
        with self._translate_errors():
            return bool(self._lock.acquire(token=owner))

    def check(self) -> None:
        """Raises LeaseLost if a renewal has failed. Does not call Redis."""
        if self._is_lost:
            raise LeaseLost(f"{self._thing}: the lease expired, another process may hold it now")

    def ensure(self) -> None:
        """Renews the lease in Redis. Raises LeaseLost, StoreUnavailable."""
        self._renew()
        self.check()

    def write(self, key: str, field: str, value: str) -> None:
        """Sets a field of a hash. Raises LeaseLost if it was not written, and StoreUnavailable."""
        with self._translate_errors():
            request = {"lease": self._key, "owner": self._owner, "hash": key, "field": field, "value": value}
            self._is_lost |= self._scripts.run("write_with_lease", request) == ["lost"]
        self.check()

    def _renew(self) -> None:
        with self._translate_errors():
            try:
                self._lock.reacquire()
            except LockError:
                self._is_lost = True

    def _keep_renewing(self) -> None:
        expires_at = time.monotonic() + self._lease_s
        while not self._left.wait(self._lease_s / 3):
            renewing_at = time.monotonic()
            try:
                self._renew()
                expires_at = renewing_at + self._lease_s
            except StoreUnavailable:  # Redis may return before the lease expires
                self._is_lost |= time.monotonic() > expires_at

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        with suppress(StoreUnavailable), self._translate_errors(), suppress(LockError):  # then it expires by itself
            self._lock.release()
        self._thread.join(self._lease_s)


async def take(client: redis.asyncio.Redis, key: str, owner: str, lease_s: float) -> AsyncLock | None:
    """Acquires the lease; returns None if another process holds it. `owner` must be unique. Raises RedisError."""
    lock = AsyncLock(client, key, timeout=lease_s, blocking=False, thread_local=False)
    return lock if await lock.acquire(token=owner) else None


@asynccontextmanager
async def holding(client: redis.asyncio.Redis, key: str, owner: str, lease_s: float) -> AsyncIterator[bool]:
    """Yields whether the lease was acquired. If so, renews it inside the context and releases it at the end.

    If the lease is lost or cannot be renewed in time, cancels the body and raises LeaseLost. Raises RedisError.
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
        raise LeaseLost(f"the lease {key} expired, another process may hold it now") from None
    finally:
        with suppress(RedisError):  # then it expires by itself
            await lock.release()


async def _keep_renewing(lock: AsyncLock, lease_s: float, limit: asyncio.Timeout) -> None:
    now = asyncio.get_running_loop().time
    while not limit.expired():
        await asyncio.sleep(lease_s / 3)
        expires_at = now() + lease_s
        try:
            await lock.reacquire()
        except LockError:
            expires_at = now()
        except RedisError:  # Redis may return before the lease expires
            continue
        if not limit.expired():
            limit.reschedule(expires_at)
