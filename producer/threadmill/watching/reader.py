"""Reads the streams of all watched jobs with one blocking command, and hands the entries to the watches."""

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

from threadmill.errors import ClientClosed, StoreUnavailable
from threadmill.redis import client
from threadmill.settings.settings import Settings
from threadmill.store.connection import BLOCK_S, Retries, chunks, stream_entries, translate_errors, unavailable
from threadmill.store.keys import Keys
from threadmill.watching.calls import Calls, Command
from threadmill.watching.watch import Watch

#: How long the key `followed` of a job lasts, its stream of states and the reader's own stream, in seconds.
FOLLOWED_S = 30
_WATCHED_S = 60

#: Seconds between two renewals of all these keys.
_RENEWAL_S = 10.0

#: Entries of one stream in one reply.
_AT_ONCE = 100

#: Each read names all streams. A pause of so many seconds per stream between two reads bounds what that costs.
_PAUSE_PER_STREAM_S = 1e-5


class Reader:
    """Reads for all watches of one event loop, with one connection of its own. It starts with the first watch.

    While Redis is unavailable it retries for `redis_outage_tolerance_s`; then all watches raise StoreUnavailable. A
    watch that may have missed something falls behind.
    """

    def __init__(self, settings: Settings, calls: Calls) -> None:
        self._settings = settings
        self._calls = calls
        self._keys = Keys(settings.key_prefix)
        self._redis = client.asynchronous(settings.redis_url)
        self._watches: dict[str, dict[Watch, None]] = {}  #: by each stream that they watch
        self._cursors: dict[str, str] = {}  #: the last entry that was read of each stream
        self._awakened = self._keys.awakened(uuid.uuid4().hex)
        self._awakened_at = "0-0"
        self._is_reading = False
        self._has_streams = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._is_closed = False

    @contextmanager
    def watching(self, watch: Watch) -> Iterator[None]:
        """Keeps the watch as long as the block runs. Raises ClientClosed."""
        if self._is_closed:
            raise ClientClosed
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._read_on(), name="threadmill reader"),
                asyncio.create_task(self._renew_on(), name="threadmill renewal"),
            ]
        for stream in watch.seen:
            self._watches.setdefault(stream, {})[watch] = None
        try:
            yield
        finally:
            for stream in watch.seen:
                watches = self._watches.get(stream, {})
                watches.pop(watch, None)
                if not watches:
                    self._watches.pop(stream, None)
                    self._cursors.pop(stream, None)

    def read_for(self, watch: Watch) -> None:
        """Reads the streams of a watch from the entries that it has seen, unless it reads them already."""
        new = {stream: seen for stream, seen in watch.seen.items() if stream not in self._cursors}
        if not new:
            return
        self._cursors |= new
        self._has_streams.set()
        if self._is_reading:
            self._is_reading = False  # once is enough
            wake = [("XADD", self._awakened, "MAXLEN", "1", "*", "by", "a watch")]
            self._calls.send([*wake, ("EXPIRE", self._awakened, _WATCHED_S)])

    async def close(self) -> None:
        """Ends all watches with ClientClosed."""
        self._is_closed = True
        for watch in self._all():
            watch.fail(ClientClosed)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._redis.aclose()

    def _all(self) -> dict[Watch, None]:
        return {watch: None for watches in self._watches.values() for watch in watches}

    async def _read_on(self) -> None:
        retries: Retries | None = None  # while Redis is unavailable
        task = cast("asyncio.Task[None]", asyncio.current_task())
        while not task.cancelling():  # redis-py may swallow a cancellation that comes together with a reply
            await self._has_streams.wait()
            try:
                entries = await self._read()
            except StoreUnavailable as error:
                retries = retries or Retries(self._settings.redis_outage_tolerance_s)
                if (pause_s := retries.pause_after(error)) is None:
                    self._fail(error)
                    retries = None
                else:
                    await asyncio.sleep(pause_s)
                continue
            if retries is not None:
                retries = None
                for watch in self._all():
                    watch.fall_behind()
            self._hand_out(entries)
            if not self._cursors:
                self._has_streams.clear()
            await asyncio.sleep(len(self._cursors) * _PAUSE_PER_STREAM_S)

    async def _read(self) -> list[tuple[str, str, dict[str, str]]]:
        streams = {**self._cursors, self._awakened: self._awakened_at}
        self._is_reading = True
        try:
            with translate_errors(self._settings.redis_url):
                found = await self._redis.xread(cast(Any, streams), count=_AT_ONCE, block=int(BLOCK_S * 1000))
        finally:
            self._is_reading = False
        return stream_entries(found)

    def _hand_out(self, entries: list[tuple[str, str, dict[str, str]]]) -> None:
        for stream, entry_id, fields in entries:
            if stream == self._awakened:
                self._awakened_at = entry_id
            elif stream in self._cursors:
                self._cursors[stream] = entry_id
                for watch in self._watches[stream]:
                    watch.put(stream, entry_id, fields)

    def _fail(self, error: StoreUnavailable) -> None:
        cause = cast(Exception, error.__cause__)
        for watch in (watch for stream in self._cursors for watch in self._watches[stream]):
            watch.fail(lambda: unavailable(self._settings.redis_url, cause))
        self._cursors.clear()
        self._has_streams.clear()

    async def _renew_on(self) -> None:
        while True:
            await asyncio.sleep(_RENEWAL_S)
            for watches in chunks(list(self._all())):
                with suppress(StoreUnavailable):  # the reader retries, and reports it
                    await self._renew(list(watches))

    async def _renew(self, watches: list[Watch]) -> None:
        """Renews the keys of watched jobs. A watch falls behind whose stream has gone, maybe with its job."""
        by_job = {watch.job_id: watch for watch in watches}
        followed = [watch.job_id for watch in watches if watch.live is not None]
        commands: list[Command] = [("EXPIRE", watch.states, _WATCHED_S) for watch in by_job.values()]
        commands += [("SET", self._keys.followed(job_id), 1, "EX", FOLLOWED_S) for job_id in dict.fromkeys(followed)]
        replies = await self._calls.send(commands)
        gone = {job_id for job_id, is_kept in zip(by_job, replies, strict=False) if not is_kept}
        for watch in watches:
            if watch.job_id in gone:
                watch.fall_behind()
