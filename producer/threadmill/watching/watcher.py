"""Waits for jobs and follows them, in one event loop."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Any

from threadmill.errors import JobNotFound, StoreRefused, StoreUnavailable, UnreadableRecord, WaitTimeout
from threadmill.job.events.event import Event
from threadmill.job.events.reader import Entry, EventReader
from threadmill.job.result import TERMINAL, JobResult
from threadmill.redis import client
from threadmill.settings.settings import Settings
from threadmill.store.connection import Retries, stream_entries
from threadmill.store.jobs.reads import check_id
from threadmill.store.jobs.results import result_of
from threadmill.store.keys import Keys
from threadmill.store.records.job import JobRecord
from threadmill.store.scripts import Scripts
from threadmill.watching.calls import Calls, Command
from threadmill.watching.reader import FOLLOWED_S, Reader
from threadmill.watching.watch import Watch

#: Entries of one stream that a watch reads by one command.
_AT_ONCE = 1000


class Watcher:
    """Waits for any number of jobs with two connections: one reads the streams, the other makes all other calls.

    Create and use it inside one event loop. While Redis is unavailable, a call retries until its timeout, for
    `redis_outage_tolerance_s` at most.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keys = Keys(settings.key_prefix)
        self._redis = client.asynchronous(settings.redis_url)
        self._scripts = Scripts(self._redis, settings.key_prefix)
        self._calls = Calls(self._redis, settings.redis_url)
        self._reader = Reader(settings, self._calls)

    async def close(self) -> None:
        """Ends all waits with ClientClosed, and closes the connections."""
        await self._reader.close()
        await self._calls.close()
        await self._redis.aclose()

    async def get(self, job_id: str) -> JobRecord:
        """See `Client.get`. Raises ClientClosed if the watcher is closed meanwhile."""
        check_id(job_id)
        try:
            [fields] = await self._calls.send([("HGETALL", self._keys.record(job_id))])
        except StoreRefused as error:
            if str(error.__cause__).startswith("WRONGTYPE"):
                raise UnreadableRecord(job_id, "", "no hash") from None
            raise
        if not fields:
            raise JobNotFound(job_id)
        return JobRecord.read(job_id, fields)

    async def wait(self, job_id: str, timeout_s: float | None) -> JobResult:
        """See `Client.wait`. Raises ClientClosed if the watcher is closed meanwhile."""
        stop_at = _stop_at(timeout_s)
        with self._watching(job_id, is_follower=False) as watch:
            while True:
                _, result = await self._next(watch, stop_at)
                if result is not None:
                    return result
                if time.monotonic() >= stop_at:
                    raise WaitTimeout(job_id, timeout_s or 0)

    async def follow(self, job_id: str, timeout_s: float | None, after: str | None) -> AsyncGenerator[Event, None]:
        """See `Client.follow`. Raises ClientClosed if the watcher is closed meanwhile."""
        stop_at, reader = _stop_at(timeout_s), EventReader(after)
        with self._watching(job_id, is_follower=True) as watch:
            while True:
                entries, result = await self._next(watch, stop_at)
                for event in reader.take(entries):
                    yield event
                if result is not None and not entries:
                    for event in reader.end(result):
                        yield event
                    return
                if result is not None:  # reads what was published before the end
                    watch.fall_behind()
                elif time.monotonic() >= stop_at:
                    raise WaitTimeout(job_id, timeout_s or 0)

    @contextmanager
    def _watching(self, job_id: str, *, is_follower: bool) -> Iterator[Watch]:
        check_id(job_id)
        watch = Watch(job_id, self._keys.events(job_id), self._keys.live(job_id) if is_follower else None)
        with self._reader.watching(watch):
            yield watch

    async def _next(self, watch: Watch, stop_at: float) -> tuple[list[Entry], JobResult | None]:
        """Waits for new entries, until `stop_at` at most. Returns them, and the result if the job has ended."""
        if not watch.is_behind:
            remaining_s = None if stop_at == math.inf else max(0.0, stop_at - time.monotonic())
            if not await watch.wait_for_news(remaining_s):
                watch.fall_behind()
        if not watch.is_behind:
            entries = watch.take()
            if not any(entry.is_state and entry.fields.get("state") in TERMINAL for entry in entries):
                return entries, None
            return entries, await self._result(watch, stop_at)
        return await self._catch_up(watch, stop_at)

    async def _result(self, watch: Watch, stop_at: float) -> JobResult | None:
        [(state, stored)] = await self._with_retries([self._ending(watch.job_id)], stop_at)
        return _result_of(watch.job_id, state, stored)

    async def _catch_up(self, watch: Watch, stop_at: float) -> tuple[list[Entry], JobResult | None]:
        """Has changes streamed, and reads the entries that the reader will not hand to the watch."""
        watch.is_behind = False  # the reader keeps what arrives from now on
        streams = list(watch.seen)
        commands: list[Command] = [
            self._scripts.prepared("jobs/watch", {"id": watch.job_id}),
            self._ending(watch.job_id),
            ("XREAD", "COUNT", _AT_ONCE, "STREAMS", *streams, *watch.seen.values()),
        ]
        if watch.live is not None:
            commands.append(("SET", self._keys.followed(watch.job_id), 1, "EX", FOLLOWED_S))
        _, (state, stored), found, *_ = await self._with_retries(commands, stop_at)
        result = _result_of(watch.job_id, state, stored)
        entries: list[Entry] = []
        count = dict.fromkeys(streams, 0)
        for stream, entry_id, fields in stream_entries(found):
            entries.append(Entry(stream == watch.states, entry_id, fields))
            watch.seen[stream] = entry_id
            count[stream] += 1
        if max(count.values()) == _AT_ONCE:
            watch.fall_behind()
        elif result is None:
            self._reader.read_for(watch)
        return entries, result

    def _ending(self, job_id: str) -> Command:
        return ("HMGET", self._keys.record(job_id), "state", "result")

    async def _with_retries(self, commands: list[Command], stop_at: float) -> list[Any]:
        retries = Retries(self._settings.redis_outage_tolerance_s, stop_at)
        while True:
            try:
                return await self._calls.send(commands)
            except StoreUnavailable as error:
                if (pause_s := retries.pause_after(error)) is None:
                    raise
            await asyncio.sleep(pause_s)


def _stop_at(timeout_s: float | None) -> float:
    return math.inf if timeout_s is None else time.monotonic() + timeout_s


def _result_of(job_id: str, state: str | None, stored: str | None) -> JobResult | None:
    """Raises JobNotFound, UnreadableRecord."""
    if state is None:
        raise JobNotFound(job_id)
    return result_of(job_id, state, stored)
