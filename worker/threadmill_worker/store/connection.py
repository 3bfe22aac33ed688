"""Calls to Redis from the event loop, repeated while Redis is unavailable."""

import math
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import Redis

from threadmill.settings.settings import Settings
from threadmill.store.keys import Keys
from threadmill.store.scripts import Scripts
from threadmill_worker.retry import while_redis_is_away


class Connection:
    """Async calls to one Redis."""

    def __init__(self, settings: Settings, redis: Redis) -> None:
        self._settings = settings
        self._keys = Keys(settings.key_prefix)
        self._redis = redis
        self._scripts = Scripts(redis, settings.key_prefix)

    async def _run(self, script: str, **request: Any) -> Any:
        """Runs the script and returns its reply. Repeats it while Redis is unavailable."""
        return await self._with_retries(self._scripts.run, script, request)

    async def _with_retries(
        self, call: Callable[..., Awaitable[Any]], *args: Any, patience_s: float = math.inf, **kwargs: Any
    ) -> Any:
        """Repeats the call while Redis is unavailable, for `patience_s` or what the settings allow if less."""
        async for attempt in while_redis_is_away(min(patience_s, self._settings.redis_outage_tolerance_s)):
            with attempt:
                return await call(*args, **kwargs)
        raise AssertionError("tenacity ends by returning or raising")
