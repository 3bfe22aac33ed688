"""The limiter of the scripts, called directly and with a clock that the test sets."""

import json
import uuid
from typing import Any

import redis

from threadmill.store.keys import Keys
from threadmill.store.scripts import source

#: Calls one function of limits.lua. The time comes with the request, not from Redis.
_CALL = """
if request.call == 'acquire' then return {limits.acquire('p', request.id, request.start)} end
if request.call == 'tell' then return {limits.tell(request.id, request.news)} end
if request.call == 'leave' then return {limits.leave('p', request.id, request.tokens_used)} end
if request.call == 'dispatched' then return {limits.dispatched('p', request.id)} end
return {limits.may_dispatch('p') and 1 or 0}
"""


class RedisLimiter:
    """The limiter of one pool, `p`. Its time is `now`, in seconds since 1970."""

    def __init__(self, store: redis.Redis, now: float = 1_800_000_000.0) -> None:
        self.now = now
        self.keys = Keys(f"test-{uuid.uuid4().hex}")
        self._store = store
        self._script = store.register_script(
            source("include/limits").replace("redis.call('TIME')", "request.time") + _CALL
        )

    def acquire(self, job_id: str, **start: Any) -> tuple[float, str, str] | None:
        """Returns None, or the delay, the reason and the ticket."""
        reply = self._run("acquire", id=job_id, start=start)
        return (float(reply[0]), reply[1], reply[2]) if reply else None

    def tell(self, job_id: str, kind: str, **news: Any) -> None:
        self._run("tell", id=job_id, news={"pool": "p", "kind": kind, "sent_at": self.now} | news)

    def leave(self, job_id: str, tokens_used: int | None = None) -> None:
        self._run("leave", id=job_id, **({} if tokens_used is None else {"tokens_used": tokens_used}))

    def may_dispatch(self) -> bool:
        return bool(self._run("may_dispatch")[0])

    def dispatched(self, job_id: str) -> None:
        self._run("dispatched", id=job_id)

    def state(self) -> dict[str, str]:
        """The fields of the pool."""
        return self._store.hgetall(self.keys.pool("p"))

    def delete(self) -> None:
        """Deletes everything that it wrote."""
        for key in self._store.scan_iter(f"{self.keys.prefix}:*", count=1000):
            self._store.delete(key)

    def _run(self, call: str, **request: Any) -> Any:
        seconds, microseconds = divmod(round(self.now * 1_000_000), 1_000_000)
        request |= {"call": call, "time": [str(seconds), str(microseconds)]}
        return self._script(args=[self.keys.prefix, json.dumps(request)])
