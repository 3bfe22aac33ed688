"""A batch: a document set is enqueued, its results are written down as they come.

The same call again goes on where an earlier one stopped: what was answered is kept, what is on its way is
awaited, what is missing, changed or was cancelled is asked.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from functools import cached_property
from typing import Any

from threadmill.batch.plan import Manner, Standing, standing
from threadmill.batch.questions import Item, Question, Questions
from threadmill.batch.results import ResultsFile
from threadmill.batch.spending import Spending
from threadmill.batch.tally import Tally
from threadmill.client import Client, JobHandle
from threadmill.documents.document import Document
from threadmill.documents.template import BadDocument, PromptTemplate
from threadmill.errors import StoreUnavailable, UnreadableRecord
from threadmill.result import ENDPOINT_FAILURES, TERMINAL, Failure, FailureKind, JobResult, JobState

#: Jobs enqueued in one round trip.
_CHUNK = 100

#: Without news for so long, the records are asked: no lost wake-up can hold a batch.
_RECONCILE_S = 30.0

#: How often it says that it is there, and looks whether it is to stop.
_BEAT_S = 1.0

_DEFAULT = Manner()


def _quiet(tally: Tally) -> None:
    """For a run that nobody watches."""


class Batch:
    """One run over a document set. `check` is called about once a second, and may raise.

    `spending`: where what it spends is added to what others have spent, for the limits.
    """

    def __init__(
        self,
        client: Client,
        name: str,
        template: PromptTemplate,
        fields: Mapping[str, Any],
        out: ResultsFile,
        check: Callable[[], None] = lambda: None,
        manner: Manner = _DEFAULT,
        spending: Spending | None = None,
    ) -> None:
        self._client = client
        self._name = name
        self._endpoint = fields.get("endpoint")
        self._questions = Questions(client, name, template, fields)
        self._out = out
        self._check = check
        self._manner = manner
        self._awaited: dict[str, tuple[Item, int]] = {}
        self._generation = 0
        self._cursor = "0-0"
        self._is_cancelled = False
        self._beat_at = self._started = 0.0
        self._report: Callable[[Tally], None] = _quiet
        self.tally = Tally(total=0, spending=spending or Spending(client.settings.prices))

    def plan(self, documents: Iterable[Document]) -> Counter[Standing]:
        """Looks through the documents; asks nothing."""
        plan = Counter[Standing]()
        for document in documents:
            try:
                plan[self._standing(self._questions.about(document)[0].item)] += 1
            except BadDocument:
                plan[Standing.BAD] += 1
        return plan

    def run(self, documents: Iterable[Document], total: int, report: Callable[[Tally], None] = _quiet) -> Tally:
        """Enqueues and collects until every document, of `total`, has its line, or a limit is reached.

        `report` is called after every change.
        """
        tally = self.tally
        tally.total = total
        tally.spending.add(self._out.spent)
        self._started, self._report = time.monotonic(), report
        store = self._client.store
        self._generation = store.open_batch(self._name, total, anew=self._manner.anew)
        self._cursor = store.batch_cursor(self._name)
        questions = self._left(documents)
        more, last_news = True, time.monotonic()
        try:
            while more or self._awaited:
                self._beat()
                limit = self._manner.limits.reached(tally.spending, tally.failed, tally.endpoint_failures)
                if not tally.stopped and (limit or self._is_cancelled):
                    tally.stopped, more = limit or "it was cancelled", False
                    self._withdraw()
                    deque(questions, maxlen=0)  # so that all are counted
                if more and (room := self._manner.max_queued - len(self._awaited)) > 0:
                    chunk = self._next_of(questions, min(room, _CHUNK))
                    more = bool(chunk)
                    self._enqueue(chunk)
                can_go_on = more and len(self._awaited) < self._manner.max_queued
                if self._collect(block_s=0.0 if can_go_on or not self._awaited else 1.0):
                    last_news = time.monotonic()
                elif time.monotonic() - last_news > _RECONCILE_S:
                    last_news = time.monotonic()
                    self._reconcile()
                self._tell()
        finally:
            store.leave_batch(self._name)
        return tally

    def _beat(self) -> None:
        """Says that this batch is seen to, and hears whether it is to stop."""
        if time.monotonic() < self._beat_at:
            return
        self._beat_at = time.monotonic() + _BEAT_S
        record = self._client.store.see_to_batch(self._name)
        self.tally.running, self.tally.paused = record.jobs.get(JobState.RUNNING, 0), record.paused
        self._is_cancelled = record.cancel_requested
        with suppress(StoreUnavailable):  # the next beat tells
            self.tally.troubles = self._client.troubles(self._endpoint)
        self._check()
        self._tell()

    def _tell(self) -> None:
        self.tally.seconds = time.monotonic() - self._started
        self._report(self.tally)

    @cached_property
    def _reopened(self) -> AbstractSet[str]:
        """Jobs that were sent again by someone else since they failed here: their new results are wanted."""
        failed = [each.job_id for each in self._out.earlier.values() if each.state is JobState.FAILED]
        states = self._client.store.states(failed)
        return {job_id for job_id, state in states.items() if state is not JobState.FAILED}

    def _standing(self, item: Item) -> Standing:
        earlier = self._out.earlier.get(item.key)
        retry = self._manner.retry_failed or (earlier is not None and earlier.job_id in self._reopened)
        return standing(earlier, is_known=self._out.knows(item.location), retry_failed=retry)

    def _left(self, documents: Iterable[Document]) -> Iterator[Question]:
        """What is left to ask; the rest is written down or counted at once."""
        for number, document in enumerate(documents):
            self._beat()  # many may be passed over without a word
            self._out.see(document.location, number)
            try:
                questions = self._questions.about(document)
            except BadDocument as error:
                self._refuse(document, str(error))
                continue
            match self._standing(questions[0].item):
                case Standing.ANSWERED:
                    self.tally.kept += 1
                case Standing.FAILED:
                    self._keep_failed(questions[0].item)
                case _:
                    yield from questions

    def _keep_failed(self, item: Item) -> None:
        earlier = self._out.earlier[item.key]
        self.tally.kept_failed += 1
        if earlier.failure is not None:
            self.tally.count_failure(earlier.failure, retryable=earlier.retryable)

    def _next_of(self, questions: Iterator[Question], most: int) -> list[Question]:
        """Fewer where documents are slow to read: the first answers need not wait for the last question."""
        chunk, stop_at = [], time.monotonic() + _BEAT_S
        for question in questions:
            chunk.append(question)
            if len(chunk) == most or time.monotonic() > stop_at:
                break
        return chunk

    def _enqueue(self, questions: Sequence[Question]) -> None:
        scope = f"{self._name}/{self._generation}" if self._generation else self._name
        jobs = [each.job.model_copy(update={"key": f"{scope}/{each.job.key}"}) for each in questions]
        handles = self._client.store.patiently(lambda: self._client.enqueue_many(jobs))  # each has its key
        for question, handle in zip(questions, handles, strict=True):
            self._awaited[handle.id] = (question.item, question.part)
            if handle.state in TERMINAL:
                self._meet_again(handle)

    def _meet_again(self, handle: JobHandle) -> None:
        """A job of an earlier run that has ended: its result is taken, or it is sent again."""
        results = self._client.store.results([handle.id])
        again = handle.state is JobState.CANCELLED or (
            handle.state is JobState.FAILED and (self._manner.retry_failed or any(map(_is_endpoint_failure, results)))
        )
        if not (again and self._is_redriven(handle.id)):
            self._take(results)

    def _is_redriven(self, job_id: str) -> bool:
        try:
            return self._client.store.patiently(lambda: self._client.redrive(job_id)) is JobState.QUEUED
        except UnreadableRecord:  # its result says so
            return False

    def _collect(self, block_s: float) -> bool:
        finished = self._client.store.finished(self._name, self._cursor, block_s)
        if finished:
            self._cursor = finished[-1].cursor
            mine = [each.job_id for each in finished if each.job_id in self._awaited]
            self._take(self._client.store.results(mine))
        return bool(finished)

    def _reconcile(self) -> None:
        """Looks which have ended without our hearing of it."""
        store = self._client.store
        states = store.patiently(lambda: store.states(list(self._awaited)))
        self._take(store.results([job_id for job_id, state in states.items() if state in TERMINAL]))

    def _take(self, results: Iterable[JobResult]) -> None:
        """Writes down the results of jobs that have ended."""
        for result in results:
            if result.job_id not in self._awaited:
                continue
            item, part = self._awaited.pop(result.job_id)
            self.tally.spending.add(result.usage_by_model)
            self.tally.calls += result.calls
            self.tally.full_price.update([result.full_price] if result.full_price else ())
            self._watch_endpoint(result)
            if item.add(part, result.model_copy(update={"batch": self._name})):  # a damaged record has lost it
                self._write(item.label, item.line)

    def _watch_endpoint(self, result: JobResult) -> None:
        """Counts the endpoint's failures in a row; once stopped, the reason stays."""
        if self.tally.stopped is not None:
            return
        if result.failure is not None and _is_endpoint_failure(result):
            self.tally.endpoint_failures.append(result.failure)
        elif result.state is not JobState.CANCELLED:
            self.tally.endpoint_failures.clear()

    def _withdraw(self) -> None:
        """Takes back what no worker has started, the last ones first: workers start at the other end."""
        for job_id in self._client.withdraw(list(reversed(self._awaited))):
            del self._awaited[job_id]

    def _refuse(self, document: Document, reason: str) -> None:
        """A document that never becomes a job."""
        failure = Failure(kind=FailureKind.REJECTED, message=reason).model_dump(mode="json")
        outcome = {"key": None, "state": JobState.FAILED, "text": "", "failure": failure, "batch": self._name}
        self._write(document.label, {**document.location, **outcome})

    def _write(self, label: str, line: Mapping[str, Any]) -> None:
        self._out.write(line)
        if line["failure"] is None:
            self.tally.succeeded += 1
        else:
            failure = Failure.model_validate(line["failure"])
            self.tally.failed += 1
            self.tally.failures.append((label, failure))
            self.tally.count_failure(failure.kind, retryable=failure.retryable)


def _is_endpoint_failure(result: JobResult) -> bool:
    return result.failure is not None and result.failure.kind in ENDPOINT_FAILURES
