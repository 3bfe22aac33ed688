"""The producer's operations on endpoints, their pools, and the durations of their runs."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, cast

from threadmill.secrets.redaction import redact
from threadmill.settings.endpoints.pool_name import Pool, pool_name
from threadmill.store.connection import Connection, chunks, moment_of
from threadmill.store.records.durations import RunDurations
from threadmill.store.records.flow import Flow
from threadmill.store.records.pool import PoolRecord

#: Priorities of flows whose jobs wait for a pool. Interrupted jobs, which come first, have their pool already.
_PRIORITIES = ("high", "normal", "low")


class PoolStore(Connection):
    """Reads pools and durations of runs, pauses and resumes endpoints."""

    def pause_endpoint(self, name: str, reason: str) -> None:
        """Stores the reason in one line, with secrets redacted."""
        with self._translate_errors():
            self._redis.hset(self._keys.endpoints_paused, name, redact(" ".join(reason.split())))

    def resume_endpoint(self, name: str) -> bool:
        """Returns whether it was paused."""
        [outcome] = self._run("endpoints/resume", name=name)
        return bool(outcome == "resumed")

    def pools(self, endpoint: str | None = None) -> list[PoolRecord]:
        """Returns the pools in use, by name; with `endpoint`, only its own.

        In use are pools on which a job started within the last hour, or which ready jobs may use. A paused endpoint has
        at least one pool here.
        """
        with self._translate_errors(), self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.hgetall(self._keys.endpoints_paused)
            pipe.zrange(self._keys.pools, 0, -1, withscores=True)
            now, paused, started = pipe.execute()
        used_at = {name: datetime.fromtimestamp(at, UTC) for name, at in started}
        waiting, limited = self._waiting()
        names = waiting.keys() | used_at.keys()
        names |= {pool_name(each) for each in paused.keys() - {Pool.parse(name).endpoint for name in names}}
        ours = sorted(name for name in names if endpoint in (None, Pool.parse(name).endpoint))
        states = self._each("hgetall", map(self._keys.pool, ours))
        jobs = self._each("hlen", map(self._keys.pool_jobs, ours))
        return [
            PoolRecord.read(
                name,
                moment_of(now),
                state or {},
                used_at=used_at.get(name),
                jobs=number or 0,
                waiting=waiting[name],
                limited=limited[name],
                paused=paused.get(Pool.parse(name).endpoint),
            )
            for name, state, number in zip(ours, states, jobs, strict=True)
            if state or number or waiting[name] or Pool.parse(name).endpoint in paused  # else it has expired
        ]

    def run_durations(self, endpoint: str | None = None) -> list[RunDurations]:
        """Returns how long runs took, the latest used first; with `endpoint`, only its own."""
        with self._translate_errors():
            known = cast(list[str], self._redis.zrange(self._keys.durations_names, 0, -1))
        names = [name for name in reversed(known) if endpoint in (None, name.partition("/")[0])]
        lists = self._each("lrange", map(self._keys.durations, names), 0, -1)
        read = (RunDurations.read(name, stored or ()) for name, stored in zip(names, lists, strict=True))
        return [durations for durations in read if durations is not None]  # else its list has expired

    def _waiting(self) -> tuple[Counter[str], Counter[str]]:
        """Returns the numbers of ready jobs, and of those that a limit holds back, by pool.

        A job that may use several pools is counted for each of them.
        """
        tenants = zip(_PRIORITIES, self._each("zrange", map(self._keys.tenants, _PRIORITIES), 0, -1), strict=True)
        lists = [self._keys.flows(priority, name) for priority, names in tenants for name in names or ()]
        flows = [flow for names in self._each("zrange", lists, 0, -1) for flow in names or ()]
        with self._translate_errors():
            limits = cast(dict[str, str], self._redis.hgetall(self._keys.limited))
        waiting, limited = Counter[str](), Counter[str]()
        for flow, jobs in zip(flows, self._each("zcard", map(self._keys.flow, flows)), strict=True):
            is_limited = not limits.get(flow, " ").endswith(" ")  # else a text `SECONDS SINCE`
            for pool in Flow.parse(flow).pools:
                waiting[pool] += jobs or 0
                limited[pool] += (jobs or 0) * is_limited
        return waiting, limited

    def _each(self, command: str, keys: Iterable[str], *arguments: Any) -> list[Any]:
        """Returns the reply to a command for each key; None for a key of another type."""
        replies: list[Any] = []
        for part in chunks(list(keys)):
            with self._translate_errors(), self._redis.pipeline(transaction=False) as pipe:
                for key in part:
                    getattr(pipe, command)(key, *arguments)
                replies += self._replies(pipe)
        return replies
