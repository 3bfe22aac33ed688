"""The jobs of one invocation of a batch that have not ended."""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from threadmill.batch.job_builder import BatchJob, PendingDocument
from threadmill.batch.progress import is_endpoint_failure
from threadmill.batch.spending import BatchLimits
from threadmill.client import Client
from threadmill.errors import UnreadableRecord
from threadmill.job.result import TERMINAL, JobResult, JobState

#: After this time without results, the states of all jobs are read: a notification can be lost.
_RECONCILE_AFTER_S = 30.0


class EndedJob(NamedTuple):
    """A job that has ended, about one part of a document."""

    document: PendingDocument
    part: int
    result: JobResult


class AwaitedJobs:
    """Enqueues the jobs of a batch and waits for their results.

    `retry_failed`: enqueue again the jobs of earlier invocations that failed.
    """

    def __init__(self, client: Client, batch: str, *, retry_failed: bool) -> None:
        self._client = client
        self._store = client.store
        self._batch = batch
        self._retry_failed = retry_failed
        self._awaited: dict[str, tuple[PendingDocument, int]] = {}
        self._key_prefix = batch
        self._cursor = "0-0"
        self._last_result = 0.0

    def __len__(self) -> int:
        return len(self._awaited)

    def start(self, documents: int, limits: BatchLimits, *, restart: bool) -> None:
        """Begins the invocation. With `restart`, it does not find the jobs of earlier ones."""
        generation = self._store.start_batch(
            self._batch,
            documents,
            new_generation=restart,
            max_cost=limits.max_cost,
            max_tokens=limits.max_tokens,
        )
        self._key_prefix = f"{self._batch}/{generation}" if generation else self._batch
        self._cursor = self._store.batch_cursor(self._batch)
        self._last_result = time.monotonic()

    def enqueue(self, chunk: Sequence[BatchJob]) -> Iterator[EndedJob]:
        """Enqueues the jobs. Yields those that an earlier invocation enqueued and that have ended."""
        jobs = [each.job.model_copy(update={"key": f"{self._key_prefix}/{each.job.key}"}) for each in chunk]
        # Safe to repeat: the jobs have keys.
        handles = self._store.with_retries(lambda: self._client.enqueue_many(jobs))
        for each, handle in zip(chunk, handles, strict=True):
            self._awaited[handle.id] = (each.document, each.part)
        results = self._store.results([handle.id for handle in handles if handle.state in TERMINAL])
        return self._take(result for result in results if not self._is_redriven(result))

    def collect(self, block_s: float) -> Iterator[EndedJob]:
        """Yields jobs that have ended. Waits up to `block_s` seconds for one."""
        if not self._awaited:
            return iter(())
        if finished := self._store.finished(self._batch, self._cursor, block_s):
            self._cursor = finished[-1].cursor
            ids = [each.job_id for each in finished if each.job_id in self._awaited]
        elif time.monotonic() - self._last_result > _RECONCILE_AFTER_S:
            states = self._store.with_retries(lambda: self._store.states(list(self._awaited)))
            ids = [job_id for job_id, state in states.items() if state in TERMINAL]
        else:
            return iter(())
        self._last_result = time.monotonic()
        return self._take(self._store.results(ids))

    def withdraw(self) -> None:
        """Cancels the jobs that no worker has started, the last ones first, because workers start with the first."""
        for job_id in self._client.withdraw(list(reversed(self._awaited))):
            del self._awaited[job_id]

    def _take(self, results: Iterable[JobResult]) -> Iterator[EndedJob]:
        for result in results:
            if result.job_id in self._awaited:
                yield EndedJob(*self._awaited.pop(result.job_id), result)

    def _is_redriven(self, result: JobResult) -> bool:
        """Enqueues an ended job again if it was cancelled or is to be retried. Returns whether it did."""
        to_retry = result.state is JobState.FAILED and (self._retry_failed or is_endpoint_failure(result))
        if not (to_retry or result.state is JobState.CANCELLED):
            return False
        try:
            return self._store.with_retries(lambda: self._client.redrive(result.job_id)) is JobState.QUEUED
        except UnreadableRecord:  # its result has that failure
            return False
