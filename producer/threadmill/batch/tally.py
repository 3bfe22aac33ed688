"""How a batch stands, for those who watch it."""

from collections import Counter
from dataclasses import dataclass, field

from threadmill.batch.spending import Spending
from threadmill.record import EndpointTrouble
from threadmill.result import ENDPOINT_FAILURES, Failure


@dataclass
class Tally:
    """Numbers are of documents."""

    total: int
    spending: Spending  #: of all runs, as far as the results file tells
    kept: int = 0  #: answered in an earlier run of the same batch
    kept_failed: int = 0  #: failed in an earlier run, and not to be asked about again
    succeeded: int = 0  #: in this run
    failed: int = 0  #: in this run
    running: int = 0  #: jobs that a worker sees through now
    paused: bool = False
    troubles: tuple[EndpointTrouble, ...] = ()  #: endpoints that give its jobs no usable replies now
    calls: int = 0  #: HTTP calls, in this run
    full_price: Counter[str] = field(default_factory=Counter)  #: why jobs went through no lane though they name one
    failures: list[tuple[str, Failure]] = field(default_factory=list)  #: of this run: document and reason
    endpoint_failures: list[Failure] = field(default_factory=list)  #: of the last jobs, in a row
    retryable: int = 0  #: failed documents, earlier runs included, that may succeed when asked again as they are
    hopeless: set[str] = field(default_factory=set)  #: kinds of the other failures: asking again cannot help
    seconds: float = 0.0
    stopped: str | None = None  #: why it ended before all documents were asked about

    @property
    def why_stopped(self) -> str | None:
        """`stopped`, with the endpoint's failure where that is the reason."""
        if self.stopped is None or not self.endpoint_failures:
            return self.stopped
        last = self.endpoint_failures[-1]
        return f"{self.stopped}: {last.kind}: {last.message}"

    def count_failure(self, kind: str, *, retryable: bool) -> None:
        """Notes whether asking again can help."""
        if retryable and kind not in ENDPOINT_FAILURES:
            self.retryable += 1
        else:
            self.hopeless.add(kind)

    @property
    def answered(self) -> int:
        return self.kept + self.succeeded

    @property
    def done(self) -> int:
        return self.answered + self.kept_failed + self.failed

    @property
    def left(self) -> int:
        return self.total - self.done
