"""How long the runs of one assistant and model took last, for all workers together."""

import asyncio
import math
import time
from contextlib import suppress
from dataclasses import dataclass, field

from redis.asyncio import Redis
from redis.exceptions import RedisError

from threadmill.settings.settings import Settings
from threadmill.store.keys import Keys
from threadmill.store.records.durations import readable_durations
from threadmill_worker.lifecycle.polling import ENOUGH, NO_PLAN, PollPlan

#: So many durations of a name are kept. With more, a change of the server is followed later.
KEPT = 64

#: A worker reads the durations of a name again after so long, or after the shorter time with enough news for a plan:
#: the first polls of short runs come late, until their plan is known.
REFRESH_S = 5.0
NEWS_S = 0.5

#: Durations are forgotten when none was added for so long: jobs may run once a week.
FORGET_S = 8 * 86_400

#: A worker knows so many names at a time, and Redis lists so many.
_NAMES = 1000


@dataclass
class _Known:
    plan: PollPlan = NO_PLAN
    read_at: float = -math.inf  #: by time.monotonic()
    news: list[str] = field(default_factory=list)  #: durations that Redis does not have yet
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def is_old(self) -> bool:
        return time.monotonic() - self.read_at >= (NEWS_S if len(self.news) >= ENOUGH else REFRESH_S)


class DurationStore:
    """Reads and adds durations of runs, and turns them into plans for polling them.

    Durations only save time and calls. So no job waits until Redis is back, and damaged values count as missing.
    """

    def __init__(self, settings: Settings, redis: Redis) -> None:
        self._keys = Keys(settings.key_prefix)
        self._redis = redis
        self._known: dict[str, _Known] = {}  #: by name, the least recently used first

    async def plan(self, name: str) -> PollPlan:
        """Returns the plan for the runs of this name; NO_PLAN if too few are known."""
        known = self._use(name)
        async with known.lock:
            if known.is_old:
                known.read_at = time.monotonic()
                with suppress(RedisError):
                    await self._exchange(name, known)
        return known.plan

    def add(self, name: str, duration_s: float) -> None:
        """Notes how long a run took. Redis receives it with the next read of the plan, or by `close`."""
        news = self._use(name).news
        news.append(f"{duration_s:.4g}")
        del news[:-KEPT]

    async def close(self) -> None:
        """Writes the durations that Redis does not have yet."""
        with suppress(RedisError):
            for name, known in self._known.items():
                if known.news:
                    await self._exchange(name, known)

    def _use(self, name: str) -> _Known:
        known = self._known.pop(name) if name in self._known else _Known()
        self._known[name] = known
        if len(self._known) > _NAMES:
            del self._known[next(iter(self._known))]
        return known

    async def _exchange(self, name: str, known: _Known) -> None:
        """Adds the news to the durations in Redis, and makes a plan of all."""
        key, news, known.news = self._keys.durations(name), known.news, []
        async with self._redis.pipeline() as pipe:
            if news:
                pipe.lpush(key, *news)
                pipe.ltrim(key, 0, KEPT - 1)
                pipe.expire(key, FORGET_S)
                pipe.zadd(self._keys.durations_names, {name: time.time()})
                pipe.zremrangebyrank(self._keys.durations_names, 0, -_NAMES - 1)
                pipe.expire(self._keys.durations_names, FORGET_S)
            pipe.lrange(key, 0, KEPT - 1)
            [*_, stored] = await pipe.execute()
        known.plan = PollPlan.of(readable_durations(stored))
