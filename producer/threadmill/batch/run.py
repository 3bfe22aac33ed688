"""Runs a batch: enqueues jobs for a document set and writes their results as they finish.

The same call again resumes the batch. It keeps answers, waits for unfinished jobs, and asks about documents that are
new, have changed or were cancelled.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from threadmill.batch.job_builder import BatchJob, JobBuilder, PendingDocument
from threadmill.batch.plan import BatchOptions, DocumentStatus, Planner
from threadmill.batch.progress import BatchProgress, is_endpoint_failure
from threadmill.batch.results import ResultsFile
from threadmill.batch.spending import Spending
from threadmill.client import Client, JobHandle
from threadmill.documents.document import Document
from threadmill.documents.errors import BadDocument
from threadmill.documents.template import PromptTemplate
from threadmill.errors import StoreUnavailable, UnreadableRecord
from threadmill.job.result import TERMINAL, Failure, FailureKind, JobResult, JobState

#: Jobs per round trip to Redis.
_CHUNK = 100

#: After this time without results, the states of all jobs are read: a notification can be lost.
_RECONCILE_AFTER_S = 30.0

_HEARTBEAT_EVERY_S = 1.0

_DEFAULT = BatchOptions()


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
        self.progress = BatchProgress(total=0, spending=spending or Spending(client.settings.prices))
        self._client = client
        self._store = client.store
        self._name = name
        self._endpoint = fields.get("endpoint")
        self._builder = JobBuilder(client, name, template, fields)
        self._planner = Planner(client.store, out, retry_failed=options.retry_failed)
        self._out = out
        self._check = check
        self._options = options
        self._report: Callable[[BatchProgress], None] = lambda progress: None
        self._awaited: dict[str, tuple[PendingDocument, int]] = {}  #: job id -> document and part
        self._key_prefix = ""
        self._cursor = "0-0"
        self._is_cancelled = False
        self._next_heartbeat = self._started = self._last_result = 0.0

    def plan(self, documents: Iterable[Document]) -> Counter[DocumentStatus]:
        """Counts the documents by status, without asking about them."""
        plan = Counter[DocumentStatus]()
        for document in documents:
            try:
                plan[self._planner.status(self._builder.build(document)[0].document)] += 1
            except BadDocument:
                plan[DocumentStatus.BAD] += 1
        return plan

    def run(
        self, documents: Iterable[Document], total: int, report: Callable[[BatchProgress], None] | None = None
    ) -> BatchProgress:
        """Enqueues jobs and collects results until each of `total` documents has a line, or a limit is reached.

        `report` is called after every change.
        """
        self._report = report or self._report
        self._start(total)
        jobs, has_more = self._jobs_to_enqueue(documents), True
        try:
            while has_more or self._awaited:
                self._heartbeat()
                if reason := self._stop_reason():
                    self._stop(jobs, reason)
                if self._free_slots:
                    chunk = self._next_chunk(jobs)
                    self._enqueue(chunk)
                    has_more = bool(chunk)
                self._collect(block_s=0.0 if has_more and self._free_slots else 1.0)
                self._publish()
        finally:
            self._store.leave_batch(self._name)
        return self.progress

    def _start(self, total: int) -> None:
        self.progress.total = total
        self.progress.spending.add(self._out.previous_usage)
        self._started = self._last_result = time.monotonic()
        generation = self._store.start_batch(self._name, total, new_generation=self._options.restart)
        self._key_prefix = f"{self._name}/{generation}" if generation else self._name
        self._cursor = self._store.batch_cursor(self._name)

    def _heartbeat(self) -> None:
        """Tells Redis that the batch is attended, and reads whether it is paused or cancelled."""
        if time.monotonic() < self._next_heartbeat:
            return
        self._next_heartbeat = time.monotonic() + _HEARTBEAT_EVERY_S
        record = self._store.renew_batch(self._name)
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
        """Withdraws jobs that no worker has started, the last ones first, because workers start with the first."""
        self.progress.stopped = reason
        for job_id in self._client.withdraw(list(reversed(self._awaited))):
            del self._awaited[job_id]
        for _ in jobs:  # counts the documents that need no job
            pass

    @property
    def _free_slots(self) -> int:
        return max(0, self._options.max_queued - len(self._awaited))

    def _jobs_to_enqueue(self, documents: Iterable[Document]) -> Iterator[BatchJob]:
        """Yields the jobs of the documents. Documents that need none are written or counted at once."""
        for number, document in enumerate(documents):
            self._heartbeat()  # there can be many that need no job
            self._out.set_position(document.location, number)
            try:
                jobs = self._builder.build(document)
            except BadDocument as error:
                self._refuse(document, str(error))
                continue
            status = self._planner.status(jobs[0].document)
            if status in (DocumentStatus.ANSWERED, DocumentStatus.FAILED):
                self.progress.document_kept(self._out.previous[jobs[0].document.key])
            else:
                yield from jobs

    def _next_chunk(self, jobs: Iterator[BatchJob]) -> list[BatchJob]:
        """Returns the next jobs, fewer if documents are slow to read, so that the first ones start soon."""
        most = min(self._free_slots, _CHUNK)
        chunk, stop_at = [], time.monotonic() + _HEARTBEAT_EVERY_S
        for job in jobs:
            chunk.append(job)
            if len(chunk) == most or time.monotonic() > stop_at:
                break
        return chunk

    def _enqueue(self, chunk: Sequence[BatchJob]) -> None:
        jobs = [each.job.model_copy(update={"key": f"{self._key_prefix}/{each.job.key}"}) for each in chunk]
        # Safe to repeat: the jobs have keys.
        handles = self._store.with_retries(lambda: self._client.enqueue_many(jobs))
        for each, handle in zip(chunk, handles, strict=True):
            self._awaited[handle.id] = (each.document, each.part)
            if handle.state in TERMINAL:
                self._handle_ended(handle)

    def _handle_ended(self, handle: JobHandle) -> None:
        """Records the result of a job that an earlier invocation enqueued and that has ended, or redrives the job."""
        results = self._store.results([handle.id])
        again = handle.state is JobState.CANCELLED or (
            handle.state is JobState.FAILED and (self._options.retry_failed or any(map(is_endpoint_failure, results)))
        )
        if not (again and self._is_redriven(handle.id)):
            self._record(results)

    def _is_redriven(self, job_id: str) -> bool:
        try:
            return self._store.with_retries(lambda: self._client.redrive(job_id)) is JobState.QUEUED
        except UnreadableRecord:  # its result has that failure
            return False

    def _collect(self, block_s: float) -> None:
        """Records the results of jobs that have ended. Waits up to `block_s` for one."""
        if not self._awaited:
            return
        if finished := self._store.finished(self._name, self._cursor, block_s):
            self._cursor = finished[-1].cursor
            ids = [each.job_id for each in finished if each.job_id in self._awaited]
        elif time.monotonic() - self._last_result > _RECONCILE_AFTER_S:
            states = self._store.with_retries(lambda: self._store.states(list(self._awaited)))
            ids = [job_id for job_id, state in states.items() if state in TERMINAL]
        else:
            return
        self._last_result = time.monotonic()
        self._record(self._store.results(ids))

    def _record(self, results: Iterable[JobResult]) -> None:
        for result in results:
            if result.job_id not in self._awaited:
                continue
            document, part = self._awaited.pop(result.job_id)
            self.progress.job_ended(result)
            if document.add(part, result.model_copy(update={"batch": self._name})):  # unreadable records lack it
                self._write(document.label, document.line)

    def _refuse(self, document: Document, reason: str) -> None:
        """Writes the line of a document that cannot be used."""
        failure = Failure(kind=FailureKind.REJECTED, message=reason).model_dump(mode="json")
        result = {"key": None, "state": JobState.FAILED, "text": "", "failure": failure, "batch": self._name}
        self._write(document.label, {**document.location, **result})

    def _write(self, label: str, line: Mapping[str, Any]) -> None:
        self._out.write(line)
        self.progress.document_ended(label, Failure.model_validate(line["failure"]) if line["failure"] else None)
