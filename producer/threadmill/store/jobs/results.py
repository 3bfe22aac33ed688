"""The results and events of jobs, read at once or awaited."""

import math
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, cast

from threadmill.errors import JobNotFound, UnreadableRecord, WaitTimeout
from threadmill.job.events.event import Event
from threadmill.job.events.reader import Entry, EventReader
from threadmill.job.result import TERMINAL, Failure, FailureKind, JobResult, JobState
from threadmill.store.connection import BLOCK_S, chunks, moment_of
from threadmill.store.jobs.reads import JobReader, check_id
from threadmill.store.records.packing import unpack_result
from threadmill.stored import fault

#: A follower of a job renews the job's key `followed`, which expires after this time.
_FOLLOWED_S = 10


class ResultStore(JobReader):
    """Reads results and events, and waits for them."""

    def results(self, job_ids: Sequence[str]) -> list[JobResult]:
        """Returns the results of the jobs that have ended. Waits while Redis is unavailable.

        An unreadable result is replaced by a failure of kind `unreadable`.
        """
        return [result for ids in chunks(job_ids) for result in self.with_retries(partial(self._results, ids))]

    def _results(self, job_ids: Sequence[str]) -> list[JobResult]:
        with self._translate_errors(), self._redis.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hmget(self._keys.record(job_id), "state", "result")
            pipe.time()
            *found, now = pipe.execute()
        results = []
        for job_id, (state, stored) in zip(job_ids, found, strict=True):
            try:
                result = result_of(job_id, state, stored)
            except UnreadableRecord as error:
                failure = Failure(kind=FailureKind.UNREADABLE, message=error.reason)
                result = JobResult.without_record(job_id, JobState.FAILED, failure, moment_of(now))
            if result is not None:
                results.append(result)
        return results

    def wait(self, job_id: str, timeout_s: float | None) -> JobResult:
        """Waits for the job's result; a change of the job's state wakes it.

        Raises WaitTimeout, JobNotFound, and UnreadableRecord if the job has ended and its result is unreadable.
        """
        stop_at = math.inf if timeout_s is None else time.monotonic() + timeout_s
        result = self._result(job_id)
        while result is None:
            remaining_s = min(BLOCK_S, stop_at - time.monotonic())
            if remaining_s <= 0:
                raise WaitTimeout(job_id, timeout_s or 0)
            seen, result = self.with_retries(partial(self._watch, job_id), stop_at)
            if result is None:
                after = {self._keys.events(job_id): seen}
                self.with_retries(partial(self._read, after, remaining_s), stop_at)
                result = self.with_retries(partial(self._result, job_id), stop_at)
        return result

    def _watch(self, job_id: str) -> tuple[str, JobResult | None]:
        """Has changes of the job's state streamed. Returns the id of the last entry, and the result at this moment."""
        with self._translate_errors(), self._redis.pipeline(transaction=True) as pipe:
            self._scripts.run("jobs/watch", {"id": job_id}, pipe)
            pipe.hmget(self._keys.record(job_id), "state", "result")
            (_, *last), (state, stored) = pipe.execute()
        if state is None:
            raise JobNotFound(job_id)
        return last[0], result_of(job_id, state, stored)

    def _result(self, job_id: str) -> JobResult | None:
        """Returns the result if the job has ended. The rest of the record need not be readable."""
        check_id(job_id)
        with self._translate_errors():
            state, stored = cast(Any, self._redis.hmget(self._keys.record(job_id), "state", "result"))
        if state is None:
            raise JobNotFound(job_id)
        return result_of(job_id, state, stored)

    def events(self, job_id: str, timeout_s: float | None, after: str | None = None) -> Iterator[Event]:
        """Yields the events of the job until it has ended: from its start, or after the one with this `entry_id`.

        Raises WaitTimeout, JobNotFound, InvalidEntryId, and UnreadableRecord as `wait` does.
        """
        reader = EventReader(after)
        stop_at = math.inf if timeout_s is None else time.monotonic() + timeout_s
        states, live = self._keys.events(job_id), self._keys.live(job_id)
        result = self._result(job_id)
        seen, renew_at = {states: "0-0", live: "0-0"}, 0.0
        while True:
            if time.monotonic() >= renew_at:
                self.with_retries(partial(self._follow, job_id), stop_at)
                renew_at = time.monotonic() + _FOLLOWED_S / 3
            remaining_s = min(_FOLLOWED_S / 3, stop_at - time.monotonic())
            entries = self.with_retries(partial(self._read, seen, 0 if result else remaining_s), stop_at)
            seen |= {stream: entry_id for stream, entry_id, _ in entries}
            yield from reader.take(Entry(stream == states, entry_id, fields) for stream, entry_id, fields in entries)
            if result is not None and not entries:
                yield from reader.end(result)
                return
            if not entries or any(stream == states for stream, _, _ in entries):
                result = self.with_retries(partial(self._result, job_id), stop_at)
            if result is None and remaining_s <= 0:
                raise WaitTimeout(job_id, timeout_s or 0)

    def _follow(self, job_id: str) -> None:
        """Lets the job's worker know that it is followed, and has changes of its state streamed."""
        with self._translate_errors(), self._redis.pipeline(transaction=False) as pipe:
            pipe.set(self._keys.followed(job_id), 1, ex=_FOLLOWED_S)
            self._scripts.run("jobs/watch", {"id": job_id}, pipe)
            pipe.execute()


def result_of(job_id: str, state: str | None, stored: str | None) -> JobResult | None:
    """Parses the stored result; None before the end of the job. Raises UnreadableRecord."""
    if not stored:
        if state in TERMINAL:
            raise UnreadableRecord(job_id, "result", "missing")
        return None
    try:
        result = unpack_result(stored)
    except ValueError as error:
        raise UnreadableRecord(job_id, *fault(error, "result")) from None
    if result.job_id != job_id:
        raise UnreadableRecord(job_id, "result.job_id", "of another job")
    return result
