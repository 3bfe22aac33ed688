"""The worker's operations on the ready queue, and on the messages of Celery's queue."""

import json
from collections.abc import Iterable, Iterator, Sequence

from threadmill_worker.store.workers import WorkerStore

#: Jobs that one script looks at or changes. More would hold Redis for too long.
AT_ONCE = 6

#: A reply of scripts that dispatch: more flows have to be asked.
_MORE_FLOWS = 2

#: Scripts of one heartbeat that ask more flows. The next one continues: all flows may be held back for long.
_ASKS = 25

#: Messages that one command reads.
_MESSAGES_AT_ONCE = 100

#: Messages that are read of a queue: other Celery clients may put any number on it.
_MESSAGES = 10_000


class QueueStore(WorkerStore):
    """Brings back jobs that no worker runs: lua/include/queue.lua."""

    async def dispatch(self, left: int) -> None:
        """Dispatches ready jobs while something is `left` to do, as the reply of a script that dispatches says."""
        asks = _ASKS
        while left and asks:
            asks -= left == _MORE_FLOWS
            _, left = await self._scripts.run("queue/dispatch", {})

    async def rescue(self, interruptions: int) -> list[tuple[str, int]]:
        """Returns some jobs with an expired lease to the queue: their ids, and each one's interruptions in a row.

        No worker receives a job with so many `interruptions`, so that the caller can fail it. Does nothing without the
        lease of the sweep. Not repeated while Redis is unavailable: afterwards, living workers must renew their leases
        first.
        """
        request = {"worker": self._name, "limit": AT_ONCE, "interruptions": interruptions}
        _, *rescued = await self._scripts.run("jobs/rescue", request)
        return [(job_id, int(number)) for job_id, number in pairs(rescued)]

    async def undelivered(self, for_s: float) -> list[str]:
        """Returns the jobs that were dispatched longer ago and that no worker has claimed, at most a thousand."""
        _, *job_ids = await self._run("queue/undelivered", older_than_s=for_s)
        return list(job_ids)

    async def return_to_queue(self, job_ids: Sequence[str]) -> list[str]:
        """Makes queued jobs ready again that no message reaches. Returns those that are still queued."""
        returned: list[str] = []
        for start in range(0, len(job_ids), AT_ONCE):
            returned += (await self._run("queue/return", jobs=list(job_ids[start : start + AT_ONCE])))[1:]
        return returned

    async def adopt(self, start: int) -> tuple[int, list[str]]:
        """Makes queued jobs ready that should be and are not. Reads some jobs, after the first `start`.

        Returns where to continue, 0 after the last job, and the ids of the jobs that are ready now.
        """
        _, number, *adopted = await self._run("queue/adopt", start=start, limit=AT_ONCE)
        return start + number if number == AT_ONCE else 0, list(adopted)

    async def messages(self) -> tuple[set[str], bool]:
        """Returns the job ids of the messages on the queue, and whether all messages were read.

        Of a very long queue, it reads the newest ones only. Leaves out items that are not messages.
        """
        job_ids = set[str]()
        for start in range(0, _MESSAGES, _MESSAGES_AT_ONCE):
            read = await self._redis.lrange(self._settings.queue, start, start + _MESSAGES_AT_ONCE - 1)
            job_ids |= set(_job_ids(read))
            if len(read) < _MESSAGES_AT_ONCE:
                return job_ids, True
        return job_ids, False

    async def waiting(self) -> int:
        """Returns the number of messages on the queue."""
        return int(await self._redis.llen(self._settings.queue))


def _job_ids(messages: Iterable[str | bytes]) -> Iterator[str]:
    for message in messages:
        try:
            yield str(json.loads(message)["headers"]["id"])
        except (ValueError, LookupError, TypeError, RecursionError):
            continue


def pairs(values: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yields the first two values, the next two, and so on."""
    return zip(values[::2], values[1::2], strict=True)
