"""A batch: a document set is enqueued, its results are written down as they come.

The same call again goes on where an earlier one stopped: what succeeded is kept, what is on its way is
awaited, what failed is sent again.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from threadmill.batch.results import ResultsFile
from threadmill.batch.tally import Tally
from threadmill.client import Client, JobHandle
from threadmill.documents.document import Document
from threadmill.documents.template import BadDocument, PromptTemplate
from threadmill.errors import InvalidJob
from threadmill.job import PromptJob
from threadmill.record import JobRecord
from threadmill.result import TERMINAL, Failure, FailureKind, JobState

#: Documents enqueued in one round trip.
_CHUNK = 100

#: No more of the batch's jobs than this stand in Redis unfinished.
_MAX_OPEN = 10_000

#: Without news for so long, the records are asked: no lost wake-up can hold a batch.
_RECONCILE_S = 30.0


@dataclass(frozen=True)
class _Item:
    """A document that is asked about, without its text."""

    label: str
    place: Mapping[str, Any]
    key: str | None  #: None: it never becomes a job


@dataclass(frozen=True)
class _Question:
    item: _Item
    job: PromptJob


def batch_name(out: Path, template: str, fields: Mapping[str, Any]) -> str:
    """The same results file, prompt and job fields give the same name, and so the same batch."""
    content = json.dumps([str(out.absolute()), template, dict(fields)], sort_keys=True, default=str)
    stem = "".join(c if c.isalnum() or c in "-_" else "-" for c in out.stem)[:100] or "batch"
    return f"{stem}-{hashlib.sha256(content.encode()).hexdigest()[:10]}"


class Batch:
    """One run over a document set. `report` is called after every change, `check` about once a second."""

    def __init__(
        self,
        client: Client,
        name: str,
        template: PromptTemplate,
        fields: Mapping[str, Any],
        out: ResultsFile,
        report: Callable[[Tally], None],
        check: Callable[[], None],
    ) -> None:
        self._client = client
        self._name = name
        self._template = template
        self._fields = fields
        self._out = out
        self._report = report
        self._check = check
        self._awaited: dict[str, _Item] = {}
        self.tally = Tally(total=0)

    def run(self, documents: Iterable[Document], total: int) -> Tally:
        """Enqueues and collects until every document, of `total`, has its line."""
        tally = self.tally = Tally(total=total)
        started = time.monotonic()
        self._cursor = self._client.store.batch_cursor(self._name)
        questions = self._questions(documents)
        more, last_news = True, time.monotonic()
        while more or self._awaited:
            if more and len(self._awaited) < _MAX_OPEN:
                chunk = list(islice(questions, _CHUNK))
                more = bool(chunk)
                self._enqueue(chunk)
            if self._collect(block_s=0.0 if more else 1.0):
                last_news = time.monotonic()
            elif time.monotonic() - last_news > _RECONCILE_S:
                last_news = time.monotonic()
                self._take(record for record in self._client.store.get_many(self._awaited))
            tally.running = self._client.store.batch_counts(self._name)[JobState.RUNNING]
            tally.seconds = time.monotonic() - started
            self._report(tally)
            self._check()
        return tally

    def _questions(self, documents: Iterable[Document]) -> Iterator[_Question]:
        """What is left to ask; the rest is written down or counted at once."""
        attached = _fingerprint(PromptJob.parse({**self._fields, "prompt": "-"}).paths)
        for document in documents:
            try:
                own = document.job_fields(self._template)
                job = self._client.check({**self._fields, **own, "batch": self._name})
            except (BadDocument, InvalidJob) as error:
                self._refuse(_Item(document.label, document.place, None), str(error))
                continue
            key = hashlib.sha256(f"{document.identity}\0{job.digest}{attached}".encode()).hexdigest()[:32]
            if key in self._out.done:
                self.tally.kept += 1
            else:
                item = _Item(document.label, document.place, key)
                yield _Question(item, job.model_copy(update={"key": f"{self._name}/{key}"}))

    def _enqueue(self, questions: Sequence[_Question]) -> None:
        handles = self._client.enqueue_many([question.job for question in questions])
        for question, handle in zip(questions, handles, strict=True):
            self._awaited[handle.id] = question.item
            if handle.state in TERMINAL:
                self._meet_again(handle)

    def _meet_again(self, handle: JobHandle) -> None:
        """A job of an earlier run that has ended: its result is taken, or it is sent again."""
        if handle.state is not JobState.SUCCEEDED and self._client.redrive(handle.id) is JobState.QUEUED:
            return
        self._take([handle.get()])

    def _collect(self, block_s: float) -> bool:
        finished = self._client.store.finished(self._name, self._cursor, block_s)
        if finished:
            self._cursor = finished[-1].cursor
            mine = [each.job_id for each in finished if each.job_id in self._awaited]
            self._take(self._client.store.get_many(mine))
        return bool(finished)

    def _take(self, records: Iterable[JobRecord]) -> None:
        """Writes down the results of those that have ended."""
        for record in records:
            if record.result is None:
                continue
            item, result, tally = self._awaited.pop(record.id), record.result, self.tally
            self._write(item, result.model_dump(mode="json"))
            tally.usage += result.usage
            tally.calls += result.calls
            if result.ok:
                tally.succeeded += 1
            elif result.failure:
                self._count_failure(item, result.failure)

    def _refuse(self, item: _Item, reason: str) -> None:
        """A document that never becomes a job."""
        failure = Failure(kind=FailureKind.REJECTED, message=reason)
        entry = {"state": JobState.FAILED, "text": "", "failure": failure.model_dump(mode="json")}
        self._write(item, {**entry, "batch": self._name})
        self._count_failure(item, failure)

    def _count_failure(self, item: _Item, failure: Failure) -> None:
        self.tally.failed += 1
        self.tally.failures.append((item.label, failure))

    def _write(self, item: _Item, entry: Mapping[str, Any]) -> None:
        self._out.write({**item.place, "key": item.key, **entry})


def _fingerprint(paths: Iterable[str]) -> str:
    """Of what the files hold that go with every document: once one has changed, all are asked about again."""
    fingerprint = ""
    for path in filter(os.path.isfile, paths):  # the workers' disk need not be ours
        with open(path, "rb") as file:
            fingerprint += hashlib.file_digest(file, "sha256").hexdigest()
    return fingerprint
