"""The producer's operations on workers, and on messages that none of them could deliver."""

from datetime import datetime, timedelta
from typing import cast

from threadmill.store.connection import Connection, moment_of
from threadmill.store.records.dead_letter import DeadLetter
from threadmill.store.records.worker import Worker
from threadmill.stored import read

#: Workers announce themselves every second. A worker that has been silent for this long counts as gone.
ALIVE = timedelta(seconds=15)


class WorkerStore(Connection):
    """Reads what workers announce, and the dead letters."""

    def dead_letters(self) -> list[DeadLetter]:
        """Returns the dead letters, the newest first; at most a hundred are kept."""
        with self._translate_errors():
            entries = cast(list[str], self._redis.lrange(self._keys.dead_letters, 0, -1))
        return [letter for entry in entries if (letter := read(DeadLetter, entry, "a dead letter"))]

    def dead_letter_count(self) -> int:
        """Returns the number of dead letters since they were last cleared."""
        with self._translate_errors():
            count = cast(str | None, self._redis.get(self._keys.dead_letters_count)) or ""
        return int(count) if count.isdecimal() else 0

    def clear_dead_letters(self) -> None:
        """Deletes all dead letters and their count."""
        with self._translate_errors():
            self._redis.delete(self._keys.dead_letters, self._keys.dead_letters_count)

    def workers(self) -> list[Worker]:
        """Returns the workers of the last day, by name."""
        return self._workers()[0]

    def live_workers(self) -> list[Worker]:
        """Returns the workers that announced themselves within the last seconds."""
        workers, now = self._workers()
        return [worker for worker in workers if worker.seen_at > now - ALIVE]

    def _workers(self) -> tuple[list[Worker], datetime]:
        """Returns the workers of the last day, by name, and the time by Redis' clock."""
        with self._translate_errors(), self._redis.pipeline(transaction=False) as pipe:
            pipe.hgetall(self._keys.workers)
            pipe.time()
            announced, now = pipe.execute()
        cards = [read(Worker, announced[name], f"what worker {name} announces") for name in sorted(announced)]
        return [card for card in cards if card], moment_of(now)
