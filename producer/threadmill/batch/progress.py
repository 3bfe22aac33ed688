"""The progress of a batch, for displays and summaries."""

from collections import Counter
from dataclasses import dataclass, field

from threadmill.batch.spending import Spending
from threadmill.job.result import ENDPOINT_FAILURES, Failure
from threadmill.store.worker_records import EndpointTrouble


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
    troubles: tuple[EndpointTrouble, ...] = ()  #: endpoints whose calls fail now
    calls: int = 0  #: HTTP calls of this invocation
    full_price: Counter[str] = field(default_factory=Counter)  #: why jobs that name a lane did not use it
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

    def count_failure(self, kind: str, *, retryable: bool) -> None:
        """Counts a failed document as retryable or permanent."""
        if retryable and kind not in ENDPOINT_FAILURES:
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
