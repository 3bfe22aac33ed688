"""How a batch stands, for those who watch it."""

from dataclasses import dataclass, field

from threadmill.batch.spending import Spending
from threadmill.result import Failure


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
    calls: int = 0  #: HTTP calls, in this run
    failures: list[tuple[str, Failure]] = field(default_factory=list)  #: of this run: document and reason
    seconds: float = 0.0
    stopped: str | None = None  #: why it ended before all documents were asked about

    @property
    def answered(self) -> int:
        return self.kept + self.succeeded

    @property
    def done(self) -> int:
        return self.answered + self.kept_failed + self.failed

    @property
    def left(self) -> int:
        return self.total - self.done
