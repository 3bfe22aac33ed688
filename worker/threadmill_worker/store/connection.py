"""Calls to Redis from the event loop, repeated while Redis is unavailable."""

import asyncio
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import Redis

from threadmill.redis.errors import is_away
from threadmill.settings.settings import Settings
from threadmill.store.keys import Keys
from threadmill.store.scripts import Scripts
from threadmill_worker.store.script_calls import ScriptCalls

log = logging.getLogger(__name__)

#: The longest pause between two tries while Redis is unavailable; it doubles from the first to the longest. A pause
#: is shorter by a random share, so that the calls of many workers do not come at once.
_PAUSE_FIRST_S = 0.1
_PAUSE_LONGEST_S = 5.0


class Connection:
    """Async calls to one Redis."""

    def __init__(self, settings: Settings, redis: Redis) -> None:
        self._settings = settings
        self._keys = Keys(settings.key_prefix)
        self._redis = redis
        self._scripts = Scripts(redis, settings.key_prefix, settings.queue)
        self._script_calls = ScriptCalls(redis, self._scripts)

    async def _run(self, script: str, **request: Any) -> Any:
        """Runs the script and returns its reply. Repeats it while Redis is unavailable."""
        return await self._with_retries(self._script_calls.run, script, request)

    async def _with_retries(
        self, call: Callable[..., Awaitable[Any]], *args: Any, patience_s: float = math.inf, **kwargs: Any
    ) -> Any:
        """Repeats the call while Redis is unavailable, for `patience_s` or what the settings allow if less."""
        stop_at = time.monotonic() + min(patience_s, self._settings.redis_outage_tolerance_s)
        pause_s = _PAUSE_FIRST_S
        while True:
            try:
                return await call(*args, **kwargs)
            except Exception as error:
                if not is_away(error) or time.monotonic() >= stop_at:
                    raise
                log.debug("Redis is away: %s", error)  # not a warning: the heartbeat warns once for all jobs
            await asyncio.sleep(random.uniform(0, pause_s))
            pause_s = min(pause_s * 2, _PAUSE_LONGEST_S)
