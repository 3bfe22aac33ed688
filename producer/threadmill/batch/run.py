"""Runs a batch: enqueues jobs for a document set and writes their results as they finish.

The same call again resumes the batch. It keeps answers, waits for unfinished jobs, and asks about documents that are
new, have changed or were cancelled.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from threadmill.batch.awaited_jobs import AwaitedJobs, EndedJob
from threadmill.batch.job_builder import BatchJob, JobBuilder
from threadmill.batch.plan import BatchOptions, DocumentStatus, Planner
from threadmill.batch.progress import BatchProgress
from threadmill.batch.results import ResultsFile
from threadmill.batch.spending import Spending
from threadmill.client import Client
from threadmill.documents.document import Document
from threadmill.documents.errors import BadDocument
from threadmill.documents.template import PromptTemplate
from threadmill.errors import StoreUnavailable
from threadmill.job.result import Failure, FailureKind, JobState

#: Jobs per round trip to Redis.
_CHUNK = 100

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
        self.progress = BatchProgress(total=0, spending=spending or Spending(client.settings.prices))
        self._client = client
        self._store = client.store
        self.name = name
        self._endpoint = fields.get("endpoint")
        self._builder = JobBuilder(client, name, template, fields)
        self._planner = Planner(client.store, out, retry_failed=options.retry_failed)
        self._out = out
        self._check = check
        self._options = options
        self._report: Callable[[BatchProgress], None] = _ignore
        self._awaited = AwaitedJobs(client, name, retry_failed=options.retry_failed)
        self._is_cancelled = self._has_jobs = False
        self._next_heartbeat = self._started = 0.0

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
        self, documents: Iterable[Document], total: int, report: Callable[[BatchProgress], None] = _ignore
    ) -> BatchProgress:
        """Enqueues jobs and collects results until each of `total` documents has a line, or a limit is reached.

        `report` is called after every change.
        """
        self._report = report
        self._start(total)
        jobs, has_more = self._jobs_to_enqueue(documents), True
        try:
            while has_more or self._awaited:
                self._heartbeat()
                if reason := self._stop_reason():
                    self._stop(jobs, reason)
                if self._free_slots:
                    chunk = self._next_chunk(jobs)
                    self._record(self._awaited.enqueue(chunk))
                    if has_more and not chunk:
                        self._set_callback()
                    has_more, self._has_jobs = bool(chunk), self._has_jobs or bool(chunk)
                self._record(self._awaited.collect(block_s=0.0 if has_more and self._free_slots else 1.0))
                self._publish()
        finally:
            self._store.leave_batch(self.name)
        return self.progress

    def _start(self, total: int) -> None:
        self.progress.total = total
        self.progress.spending.add(self._out.previous_usage)
        self._started = time.monotonic()
        self._awaited.start(total, self._options.limits, restart=self._options.restart)
        if self._options.concurrent is not None:
            self._client.limit_batch(self.name, self._options.concurrent)

    def _set_callback(self) -> None:
        """Asks for the batch's callback, after the last job is enqueued: earlier, all jobs so far may have ended."""
        callback = self._options.callback
        if callback is not None and self._has_jobs:
            self._store.with_retries(lambda: self._client.set_batch_callback(self.name, callback))

    def _heartbeat(self) -> None:
        """Tells Redis that the batch is attended, and reads whether it is paused or cancelled."""
        if time.monotonic() < self._next_heartbeat:
            return
        self._next_heartbeat = time.monotonic() + _HEARTBEAT_EVERY_S
        record = self._store.renew_batch(self.name)
        self.progress.running, self.progress.paused = record.jobs.get(JobState.RUNNING, 0), record.paused
        self._is_cancelled = record.cancel_requested
        with suppress(StoreUnavailable):  # the next heartbeat reads them
            self.progress.failing_endpoints = self._client.failing_endpoints(self._endpoint)
            self.progress.awaited_pools = self._client.awaited_pools(self._endpoint)
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
        self._awaited.withdraw()
        for _ in jobs:  # counts the documents that need no job
            pass

    @property
    def _free_slots(self) -> int:
        return max(0, self._options.max_in_flight - len(self._awaited))

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
        size = min(self._free_slots, _CHUNK)
        chunk, stop_at = [], time.monotonic() + _HEARTBEAT_EVERY_S
        for job in jobs:
            chunk.append(job)
            if len(chunk) == size or time.monotonic() > stop_at:
                break
        return chunk

    def _record(self, ended: Iterable[EndedJob]) -> None:
        for document, part, result in ended:
            self.progress.job_ended(result)
            if document.add(part, result.model_copy(update={"batch": self.name})):  # unreadable records lack it
                self._write(document.label, document.line)

    def _refuse(self, document: Document, reason: str) -> None:
        """Writes the line of a document that cannot be used."""
        failure = Failure(kind=FailureKind.REJECTED, message=reason).model_dump(mode="json")
        result = {"key": None, "state": JobState.FAILED, "text": "", "failure": failure, "batch": self.name}
        self._write(document.label, {**document.location, **result})

    def _write(self, label: str, line: Mapping[str, Any]) -> None:
        self._out.write(line)
        self.progress.document_ended(label, Failure.model_validate(line["failure"]) if line["failure"] else None)
