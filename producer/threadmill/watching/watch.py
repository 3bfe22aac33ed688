"""One task's watch over one job."""

import asyncio
from collections.abc import Callable

from threadmill.job.events.reader import Entry

#: Entries that the reader keeps for one watch. If more arrive before it takes them, it reads them from Redis itself.
_KEPT = 100


class Watch:
    """What the reader hands to one task that waits for a job or follows it. Bounded.

    `seen`: the id of the last entry taken from each stream, by the name of the stream
    `is_behind`: the task has to read from `seen` itself, because the reader has not handed it all entries
    """

    def __init__(self, job_id: str, states: str, live: str | None) -> None:
        self.job_id = job_id
        self.states = states
        self.live = live
        self.seen = {stream: "0-0" for stream in (states, live) if stream is not None}
        self.is_behind = True
        self._entries: list[tuple[str, Entry]] = []
        self._news = asyncio.Event()
        self._error: Callable[[], Exception] | None = None

    def put(self, stream: str, entry_id: str, fields: dict[str, str]) -> None:
        """Adds an entry. After more than the task takes, it drops them all and is behind."""
        if not self.is_behind:
            self._entries.append((stream, Entry(stream == self.states, entry_id, fields)))
            if len(self._entries) > _KEPT:
                self.fall_behind()
        self._news.set()

    def fall_behind(self) -> None:
        """Lets the task read from Redis itself."""
        self.is_behind = True
        self._entries.clear()
        self._news.set()

    def fail(self, error: Callable[[], Exception]) -> None:
        """Lets the task raise an error of its own."""
        self._error = error
        self._news.set()

    async def wait_for_news(self, timeout_s: float | None) -> bool:
        """Waits for entries; returns whether there is news within the timeout. Raises the error of `fail`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return False
        if self._error is not None:
            raise self._error()
        self._news.clear()
        return True

    def take(self) -> list[Entry]:
        """Returns the entries since the last call, each once."""
        taken = [(stream, entry) for stream, entry in self._entries if _order(entry.id) > _order(self.seen[stream])]
        self.seen |= {stream: entry.id for stream, entry in taken}
        self._entries.clear()
        return [entry for _, entry in taken]


def _order(entry_id: str) -> tuple[int, int]:
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number)
