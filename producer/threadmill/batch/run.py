"""Runs a batch: enqueues jobs for a document set and writes their results as they finish.

The same call again resumes the batch. It keeps answers, waits for unfinished jobs, and asks about documents that are
new, have changed or were cancelled.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from functools import cached_property
from typing import Any

from threadmill.batch.job_builder import BatchJob, JobBuilder, PendingDocument
from threadmill.batch.plan import BatchOptions, DocumentStatus, document_status
from threadmill.batch.progress import BatchProgress
from threadmill.batch.results import ResultsFile
from threadmill.batch.spending import Spending
from threadmill.client import Client, JobHandle
from threadmill.documents.document import Document
from threadmill.documents.errors import BadDocument
from threadmill.documents.template import PromptTemplate
from threadmill.errors import StoreUnavailable, UnreadableRecord
from threadmill.job.result import ENDPOINT_FAILURES, TERMINAL, Failure, FailureKind, JobResult, JobState

#: Jobs per round trip to Redis.
_CHUNK = 100

#: After this time without results, the states of all jobs are read: a notification can be lost.
_RECONCILE_AFTER_S = 30.0

_HEARTBEAT_EVERY_S = 1.0

_DEFAULT = BatchOptions()


def _ignore(progress: BatchProgress) -> None:
    """Shows no progress."""


class Batch:
    """One invocation of a batch. `check` is called about once a second, and can raise to stop it.

    `spending` collects what this and other batches spend, for the limits.
    """

    def __init__(
        self,
        client: Client,
        name: str,
        template: PromptTemplate,
        fields: Mapping[str, Any],
        out: ResultsFile,
        check: Callable[[], None] = lambda: None,
        options: BatchOptions = _DEFAULT,
        spending: Spending | None = None,
    ) -> None:
        self._client = client
        self._name = name
        self._endpoint = fields.get("endpoint")
        self._builder = JobBuilder(client, name, template, fields)
        self._out = out
        self._check = check
        self._options = options
        self._awaited: dict[str, tuple[PendingDocument, int]] = {}
        self._generation = 0
        self._cursor = "0-0"
        self._is_cancelled = False
        self._next_heartbeat = self._started = self._last_result = 0.0
        self._report: Callable[[BatchProgress], None] = _ignore
        self.progress = BatchProgress(total=0, spending=spending or Spending(client.settings.prices))

    def plan(self, documents: Iterable[Document]) -> Counter[DocumentStatus]:
        """Counts the documents by status, without asking about them."""
        plan = Counter[DocumentStatus]()
        for document in documents:
            try:
                plan[self._status(self._builder.build(document)[0].document)] += 1
            except BadDocument:
                plan[DocumentStatus.BAD] += 1
        return plan

    def run(
        self, documents: Iterable[Document], total: int, report: Callable[[BatchProgress], None] = _ignore
    ) -> BatchProgress:
        """Enqueues jobs and collects results until each of `total` documents has a line, or a limit is reached.

        `report` is called after every change.
        """
        self._open(total, report)
        jobs, has_more = self._pending_jobs(documents), True
        try:
            while has_more or self._awaited:
                self._heartbeat()
                if reason := self._stop_reason():
                    self._stop(jobs, reason)
                    has_more = False
                if has_more and self._free_slots:
                    has_more = self._enqueue(self._next_chunk(jobs))
                can_enqueue = has_more and self._free_slots
                self._collect(block_s=0.0 if can_enqueue or not self._awaited else 1.0)
                self._publish()
        finally:
            self._client.store.leave_batch(self._name)
        return self.progress

    def _open(self, total: int, report: Callable[[BatchProgress], None]) -> None:
        self.progress.total = total
        self.progress.spending.add(self._out.previous_usage)
        self._started = self._last_result = time.monotonic()
        self._report = report
        self._generation = self._client.store.start_batch(self._name, total, new_generation=self._options.restart)
        self._cursor = self._client.store.batch_cursor(self._name)

    def _heartbeat(self) -> None:
        """Tells Redis that the batch is attended, and reads whether it is paused or cancelled."""
        if time.monotonic() < self._next_heartbeat:
            return
        self._next_heartbeat = time.monotonic() + _HEARTBEAT_EVERY_S
        record = self._client.store.renew_batch(self._name)
        self.progress.running, self.progress.paused = record.jobs.get(JobState.RUNNING, 0), record.paused
        self._is_cancelled = record.cancel_requested
        with suppress(StoreUnavailable):  # the next heartbeat reads them
            self.progress.troubles = self._client.troubles(self._endpoint)
        self._check()
        self._publish()

    def _publish(self) -> None:
        self.progress.seconds = time.monotonic() - self._started
        self._report(self.progress)

    def _stop_reason(self) -> str | None:
        """Returns why the batch must stop now, or None if it need not or already does."""
        progress = self.progress
        if progress.stopped:
            return None
        limit = self._options.limits.reached(progress.spending, progress.failed, progress.endpoint_failures)
        return limit or ("it was cancelled" if self._is_cancelled else None)

    def _stop(self, jobs: Iterator[BatchJob], reason: str) -> None:
        self.progress.stopped = reason
        self._withdraw()
        for _ in jobs:  # counts the documents that need no job
            pass

    @property
    def _free_slots(self) -> int:
        return max(0, self._options.max_queued - len(self._awaited))

    @cached_property
    def _reopened(self) -> AbstractSet[str]:
        """The failed jobs of earlier invocations that were redriven since; their new results are needed."""
        failed = [each.job_id for each in self._out.previous.values() if each.state == JobState.FAILED]
        states = self._client.store.states(failed)
        return {job_id for job_id, state in states.items() if state is not JobState.FAILED}

    def _status(self, document: PendingDocument) -> DocumentStatus:
        previous = self._out.previous.get(document.key)
        retry = self._options.retry_failed or (previous is not None and previous.job_id in self._reopened)
        return document_status(previous, is_known=self._out.has_line(document.location), retry_failed=retry)

    def _pending_jobs(self, documents: Iterable[Document]) -> Iterator[BatchJob]:
        """Yields the jobs to enqueue. Documents that need none are written or counted at once."""
        for number, document in enumerate(documents):
            self._heartbeat()  # there can be many that need no job
            self._out.set_position(document.location, number)
            try:
                jobs = self._builder.build(document)
            except BadDocument as error:
                self._write_refused(document, str(error))
                continue
            match self._status(jobs[0].document):
                case DocumentStatus.ANSWERED:
                    self.progress.kept += 1
                case DocumentStatus.FAILED:
                    self._keep_failed(jobs[0].document)
                case _:
                    yield from jobs

    def _keep_failed(self, document: PendingDocument) -> None:
        previous = self._out.previous[document.key]
        self.progress.kept_failed += 1
        if previous.failure is not None:
            self.progress.count_failure(previous.failure, retryable=previous.retryable)

    def _next_chunk(self, jobs: Iterator[BatchJob]) -> list[BatchJob]:
        """Returns the next jobs, fewer if documents are slow to read, so that the first ones start soon."""
        most = min(self._free_slots, _CHUNK)
        chunk, stop_at = [], time.monotonic() + _HEARTBEAT_EVERY_S
        for job in jobs:
            chunk.append(job)
            if len(chunk) == most or time.monotonic() > stop_at:
                break
        return chunk

    def _enqueue(self, chunk: Sequence[BatchJob]) -> bool:
        """Enqueues the jobs. Returns False if there are none."""
        scope = f"{self._name}/{self._generation}" if self._generation else self._name
        jobs = [each.job.model_copy(update={"key": f"{scope}/{each.job.key}"}) for each in chunk]
        # Safe to repeat: the jobs have keys.
        handles = self._client.store.with_retries(lambda: self._client.enqueue_many(jobs))
        for each, handle in zip(chunk, handles, strict=True):
            self._awaited[handle.id] = (each.document, each.part)
            if handle.state in TERMINAL:
                self._handle_ended(handle)
        return bool(chunk)

    def _handle_ended(self, handle: JobHandle) -> None:
        """Records the result of a job that an earlier invocation enqueued and that has ended, or redrives the job."""
        results = self._client.store.results([handle.id])
        again = handle.state is JobState.CANCELLED or (
            handle.state is JobState.FAILED and (self._options.retry_failed or any(map(_is_endpoint_failure, results)))
        )
        if not (again and self._is_redriven(handle.id)):
            self._record(results)

    def _is_redriven(self, job_id: str) -> bool:
        try:
            return self._client.store.with_retries(lambda: self._client.redrive(job_id)) is JobState.QUEUED
        except UnreadableRecord:  # its result has that failure
            return False

    def _collect(self, block_s: float) -> None:
        finished = self._client.store.finished(self._name, self._cursor, block_s)
        if finished:
            self._cursor = finished[-1].cursor
            ids = [each.job_id for each in finished if each.job_id in self._awaited]
            self._record(self._client.store.results(ids))
        elif time.monotonic() - self._last_result > _RECONCILE_AFTER_S:
            self._reconcile()
        else:
            return
        self._last_result = time.monotonic()

    def _reconcile(self) -> None:
        """Records jobs that have ended without a notification."""
        store = self._client.store
        states = store.with_retries(lambda: store.states(list(self._awaited)))
        self._record(store.results([job_id for job_id, state in states.items() if state in TERMINAL]))

    def _record(self, results: Iterable[JobResult]) -> None:
        """Writes the results of jobs that have ended."""
        for result in results:
            if result.job_id not in self._awaited:
                continue
            document, part = self._awaited.pop(result.job_id)
            self.progress.spending.add(result.usage_by_model)
            self.progress.calls += result.calls
            self.progress.full_price.update([result.full_price] if result.full_price else ())
            self._count_endpoint_failure(result)
            if document.add(part, result.model_copy(update={"batch": self._name})):  # unreadable records lack it
                self._write(document.label, document.line)

    def _count_endpoint_failure(self, result: JobResult) -> None:
        """Counts consecutive failures of the endpoint. Once the batch stops, they stay as its reason."""
        if self.progress.stopped is not None:
            return
        if result.failure is not None and _is_endpoint_failure(result):
            self.progress.endpoint_failures.append(result.failure)
        elif result.state is not JobState.CANCELLED:
            self.progress.endpoint_failures.clear()

    def _withdraw(self) -> None:
        """Removes jobs that no worker has started, the last ones first, because workers start with the first."""
        for job_id in self._client.withdraw(list(reversed(self._awaited))):
            del self._awaited[job_id]

    def _write_refused(self, document: Document, reason: str) -> None:
        """Writes the line of a document that cannot be used."""
        failure = Failure(kind=FailureKind.REJECTED, message=reason).model_dump(mode="json")
        result = {"key": None, "state": JobState.FAILED, "text": "", "failure": failure, "batch": self._name}
        self._write(document.label, {**document.location, **result})

    def _write(self, label: str, line: Mapping[str, Any]) -> None:
        self._out.write(line)
        if line["failure"] is None:
            self.progress.succeeded += 1
        else:
            failure = Failure.model_validate(line["failure"])
            self.progress.failed += 1
            self.progress.failures.append((label, failure))
            self.progress.count_failure(failure.kind, retryable=failure.retryable)


def _is_endpoint_failure(result: JobResult) -> bool:
    return result.failure is not None and result.failure.kind in ENDPOINT_FAILURES
