"""A batch: a document set is enqueued, its results are written down as they come.

The same call again goes on where an earlier one stopped: what was answered is kept, what is on its way is
awaited, what is missing, changed or was cancelled is asked.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from threadmill.batch.questions import Item, Question, Questions
from threadmill.batch.results import ResultsFile, lines_in
from threadmill.batch.spending import Limits, Spending
from threadmill.batch.tally import Tally
from threadmill.client import Client, JobHandle
from threadmill.documents.document import Document
from threadmill.documents.template import BadDocument, PromptTemplate
from threadmill.record import JobRecord
from threadmill.result import TERMINAL, Failure, FailureKind, JobState

#: Jobs enqueued in one round trip.
_CHUNK = 100

#: Jobs of the batch that stand in Redis unfinished, at most: their texts must not fill it.
MAX_QUEUED = 10_000

#: Without news for so long, the records are asked: no lost wake-up can hold a batch.
_RECONCILE_S = 30.0

#: How often it says that it is there, and looks whether it is to stop.
_BEAT_S = 1.0


@dataclass(frozen=True)
class Manner:
    """How a batch is gone about."""

    limits: Limits = field(default_factory=Limits)
    max_queued: int = MAX_QUEUED
    retry_failed: bool = False  #: ask again what failed in an earlier run
    anew: bool = False  #: take no answers of jobs of earlier runs


_DEFAULT = Manner()


def _quiet(tally: Tally) -> None:
    """For a run that nobody watches."""


@dataclass
class Plan:
    """What a run is going to do, in numbers of documents."""

    answered: int = 0  #: in an earlier run: kept
    failed: int = 0  #: in an earlier run: kept
    again: int = 0  #: failed or were cancelled in an earlier run: asked again
    changed: int = 0  #: since an earlier run: asked
    new: int = 0  #: asked
    bad: int = 0  #: cannot be asked about


def _chunk(questions: Iterator[Question], most: int) -> list[Question]:
    """The next ones, fewer where documents are slow to read: the first answers need not wait for the last question."""
    stop_at = time.monotonic() + _BEAT_S
    chunk = list(islice(questions, 1))
    while chunk and len(chunk) < most and time.monotonic() < stop_at and (more := list(islice(questions, 1))):
        chunk += more
    return chunk


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
        self._questions = Questions(client, name, template, fields)
        self._out = out
        self._check = check
        self._manner = manner
        self._awaited: dict[str, tuple[Item, int]] = {}
        self._reopened: set[str] = set()
        self._beat_at = 0.0
        self._is_cancelled = False
        self.tally = Tally(total=0, spending=spending or Spending(client.settings.prices))

    def plan(self, documents: Iterable[Document]) -> Plan:
        """Looks through the documents; asks nothing."""
        plan = Plan()
        for document in documents:
            try:
                item = self._questions.about(document)[0].item
            except BadDocument:
                plan.bad += 1
                continue
            earlier = self._out.earlier.get(item.key)
            if earlier is None and self._out.knows(item.place):
                plan.changed += 1
            elif earlier is None:
                plan.new += 1
            elif earlier.state is JobState.SUCCEEDED:
                plan.answered += 1
            elif self._is_kept(item):
                plan.failed += 1
            else:
                plan.again += 1
        return plan

    def run(self, documents: Iterable[Document], total: int, report: Callable[[Tally], None] = _quiet) -> Tally:
        """Enqueues and collects until every document, of `total`, has its line, or a limit is reached.

        `report` is called after every change.
        """
        tally, started = self.tally, time.monotonic()
        tally.total = total
        for line in lines_in(self._out.path):
            tally.spending.add_line(line)
        store = self._client.store
        self._generation = store.open_batch(self._name, total, anew=self._manner.anew)
        self._cursor = store.batch_cursor(self._name)
        self._look_for_reopened()
        questions = self._left(documents)
        more, last_news = True, time.monotonic()
        try:
            while more or self._awaited:
                self._beat()
                limit = self._manner.limits.reached(tally.spending, tally.failed)
                if not tally.stopped and (limit or self._is_cancelled):
                    tally.stopped, more = limit or "it was cancelled", False
                    self._withdraw()
                    deque(questions, maxlen=0)  # so that all are counted
                if more and (room := self._manner.max_queued - len(self._awaited)) > 0:
                    chunk = _chunk(questions, min(room, _CHUNK))
                    more = bool(chunk)
                    self._enqueue(chunk)
                can_go_on = more and len(self._awaited) < self._manner.max_queued
                if self._collect(block_s=0.0 if can_go_on or not self._awaited else 1.0):
                    last_news = time.monotonic()
                elif time.monotonic() - last_news > _RECONCILE_S:
                    last_news = time.monotonic()
                    self._reconcile()
                tally.seconds = time.monotonic() - started
                report(tally)
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
        self._check()

    def _look_for_reopened(self) -> None:
        """Jobs that were sent again by someone else since they failed here: their new results are wanted."""
        failed = [each.job_id for each in self._out.earlier.values() if each.state is JobState.FAILED]
        states = self._client.store.states(failed)
        self._reopened = {job_id for job_id, state in states.items() if state is not JobState.FAILED}

    def _is_kept(self, item: Item) -> bool:
        """Whether the line that an earlier run left is still good."""
        earlier = self._out.earlier.get(item.key)
        if earlier is None or earlier.state is JobState.CANCELLED:
            return False
        failed = earlier.state is JobState.FAILED
        return not (failed and (self._manner.retry_failed or earlier.job_id in self._reopened))

    def _left(self, documents: Iterable[Document]) -> Iterator[Question]:
        """What is left to ask; the rest is written down or counted at once."""
        for number, document in enumerate(documents):
            self._out.see(document.place, number)
            try:
                questions = self._questions.about(document)
            except BadDocument as error:
                self._refuse(document, str(error))
                continue
            item = questions[0].item
            if not self._is_kept(item):
                yield from questions
            elif self._out.earlier[item.key].state is JobState.SUCCEEDED:
                self.tally.kept += 1
            else:
                self.tally.kept_failed += 1

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
        again = handle.state is JobState.CANCELLED or (handle.state is JobState.FAILED and self._manner.retry_failed)
        store = self._client.store
        if not (again and store.patiently(lambda: self._client.redrive(handle.id)) is JobState.QUEUED):
            self._take(store.get_many([handle.id]))

    def _collect(self, block_s: float) -> bool:
        finished = self._client.store.finished(self._name, self._cursor, block_s)
        if finished:
            self._cursor = finished[-1].cursor
            mine = [each.job_id for each in finished if each.job_id in self._awaited]
            self._take(self._client.store.get_many(mine))
        return bool(finished)

    def _reconcile(self) -> None:
        """Looks which have ended without our hearing of it."""
        store = self._client.store
        states = store.patiently(lambda: store.states(list(self._awaited)))
        self._take(store.get_many([job_id for job_id, state in states.items() if state in TERMINAL]))

    def _take(self, records: Iterable[JobRecord]) -> None:
        """Writes down the results of those that have ended."""
        for record in records:
            if record.result is None or record.id not in self._awaited:
                continue
            item, part = self._awaited.pop(record.id)
            result = record.result
            self.tally.spending.add(result.model, result.lane, result.usage)
            self.tally.calls += result.calls
            if item.add(part, result):
                self._write(item.label, item.line)

    def _withdraw(self) -> None:
        """Takes back what no worker has begun."""
        for job_id in list(self._awaited):
            if self._client.withdraw(job_id):
                del self._awaited[job_id]

    def _refuse(self, document: Document, reason: str) -> None:
        """A document that never becomes a job."""
        failure = Failure(kind=FailureKind.REJECTED, message=reason).model_dump(mode="json")
        outcome = {"key": None, "state": JobState.FAILED, "text": "", "failure": failure, "batch": self._name}
        self._write(document.label, {**document.place, **outcome})

    def _write(self, label: str, line: Mapping[str, Any]) -> None:
        self._out.write(line)
        if line["failure"] is None:
            self.tally.succeeded += 1
        else:
            self.tally.failed += 1
            self.tally.failures.append((label, Failure.model_validate(line["failure"])))
