"""Decides what a batch does with each document."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from threadmill.batch.job_builder import PendingDocument
from threadmill.batch.results import PreviousResult, ResultsFile
from threadmill.batch.spending import BatchLimits
from threadmill.job.callback import Callback
from threadmill.job.result import ENDPOINT_FAILURES, JobState
from threadmill.store.store import Store

#: The most unfinished jobs of a batch in Redis, which holds their texts in memory.
MAX_IN_FLIGHT = 10_000


@dataclass(frozen=True)
class BatchOptions:
    """How a batch is run."""

    limits: BatchLimits = field(default_factory=BatchLimits)
    max_in_flight: int = MAX_IN_FLIGHT
    concurrent: int | None = None  #: the most jobs that run at a time; None: leave the limit of the batch as it is
    retry_failed: bool = False  #: ask again about documents that failed in an earlier invocation
    restart: bool = False  #: use no answers of jobs of earlier invocations
    callback: Callback | None = None  #: told when all jobs have ended


class DocumentStatus(StrEnum):
    """What a batch will do with a document."""

    ANSWERED = "answered"  #: keep the answer of an earlier invocation
    FAILED = "failed"  #: keep the failure of an earlier invocation
    AGAIN = "again"  #: ask again: it was cancelled, or it failed and is to be retried
    CHANGED = "changed"  #: ask: it has changed since an earlier invocation
    NEW = "new"  #: ask
    BAD = "bad"  #: report that it cannot be used


def document_status(previous: PreviousResult | None, *, is_known: bool, retry_failed: bool) -> DocumentStatus:
    """Returns the status from the previous result for the same prompt. `is_known`: there is one for another prompt.

    A failure of the endpoint says nothing about the document, so it is always asked about again.
    """
    if previous is None:
        return DocumentStatus.CHANGED if is_known else DocumentStatus.NEW
    if previous.state == JobState.SUCCEEDED:
        return DocumentStatus.ANSWERED
    stays_failed = previous.state == JobState.FAILED and previous.failure not in ENDPOINT_FAILURES and not retry_failed
    return DocumentStatus.FAILED if stays_failed else DocumentStatus.AGAIN


class Planner:
    """Decides about documents by their lines in the results file, and by the current states of their jobs."""

    def __init__(self, store: Store, out: ResultsFile, *, retry_failed: bool) -> None:
        self._store = store
        self._out = out
        self._retry_failed = retry_failed

    def status(self, document: PendingDocument) -> DocumentStatus:
        previous = self._out.previous.get(document.key)
        retry = self._retry_failed or (previous is not None and previous.job_id in self._redriven)
        return document_status(previous, is_known=self._out.has_line(document.location), retry_failed=retry)

    @cached_property
    def _redriven(self) -> AbstractSet[str]:
        """The failed jobs of earlier invocations that were redriven since; their new results are needed."""
        failed = [each.job_id for each in self._out.previous.values() if each.state == JobState.FAILED]
        states = self._store.states(failed)
        return {job_id for job_id, state in states.items() if state is not JobState.FAILED}
