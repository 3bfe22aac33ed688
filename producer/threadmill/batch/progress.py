"""The progress of a batch, for displays and summaries."""

from collections import Counter
from dataclasses import dataclass, field

from threadmill.batch.results import PreviousResult
from threadmill.batch.spending import Spending
from threadmill.job.result import ENDPOINT_FAILURES, Failure, JobResult, JobState
from threadmill.store.records.pool import PoolRecord
from threadmill.store.records.worker import FailingEndpoint


@dataclass
class BatchProgress:
    """Counts are of documents unless noted."""

    total: int
    spending: Spending  #: of all invocations, from the results file
    kept: int = 0  #: answered in an earlier invocation
    kept_failed: int = 0  #: failed in an earlier invocation, and not asked about again
    succeeded: int = 0  #: in this invocation
    failed: int = 0  #: in this invocation
    running: int = 0  #: jobs that workers execute now
    paused: bool = False
    failing_endpoints: tuple[FailingEndpoint, ...] = ()  #: endpoints whose calls fail now
    awaited_pools: tuple[PoolRecord, ...] = ()  #: pools that are paused, shut or at a limit now
    calls: int = 0  #: HTTP calls of this invocation
    full_price: Counter[str] = field(default_factory=Counter)  #: why jobs did not use their lane or service tier
    failures: list[tuple[str, Failure]] = field(default_factory=list)  #: of this invocation: document and reason
    endpoint_failures: list[Failure] = field(default_factory=list)  #: of the latest jobs, consecutive
    retryable: int = 0  #: failed documents of all invocations that can succeed if asked again
    permanent_failures: set[str] = field(default_factory=set)  #: kinds of the other failures
    seconds: float = 0.0
    stopped: str | None = None  #: why the batch ended before all documents were asked about

    @property
    def why_stopped(self) -> str | None:
        """`stopped`, with the message of the endpoint's failure if that is the reason."""
        if self.stopped is None or not self.endpoint_failures:
            return self.stopped
        last = self.endpoint_failures[-1]
        return f"{self.stopped}: {last.kind}: {last.message}"

    def job_ended(self, result: JobResult) -> None:
        """Adds the spending of a job, and counts consecutive failures of the endpoint."""
        self.spending.add(result.usage_by_model)
        self.calls += result.calls
        self.full_price.update([result.full_price] if result.full_price else ())
        if self.stopped is not None:  # the failures counted before stay as the reason
            return
        if result.failure is not None and is_endpoint_failure(result):
            self.endpoint_failures.append(result.failure)
        elif result.state is not JobState.CANCELLED:
            self.endpoint_failures.clear()

    def document_ended(self, label: str, failure: Failure | None) -> None:
        """Counts a document whose line was written in this invocation."""
        if failure is None:
            self.succeeded += 1
        else:
            self.failed += 1
            self.failures.append((label, failure))
            self._count_failure(failure.kind, failure.retryable)

    def document_kept(self, previous: PreviousResult) -> None:
        """Counts a document that keeps the line of an earlier invocation."""
        if previous.state == JobState.SUCCEEDED:
            self.kept += 1
        else:
            self.kept_failed += 1
            if previous.failure is not None:
                self._count_failure(previous.failure, previous.retryable)

    def _count_failure(self, kind: str, is_retryable: bool) -> None:
        if is_retryable and kind not in ENDPOINT_FAILURES:
            self.retryable += 1
        else:
            self.permanent_failures.add(kind)

    @property
    def answered(self) -> int:
        return self.kept + self.succeeded

    @property
    def done(self) -> int:
        return self.answered + self.kept_failed + self.failed

    @property
    def left(self) -> int:
        return self.total - self.done


def is_endpoint_failure(result: JobResult) -> bool:
    return result.failure is not None and result.failure.kind in ENDPOINT_FAILURES
