"""How a batch stands, for those who watch it."""

from dataclasses import dataclass, field

from threadmill.result import Failure, Usage


@dataclass
class Tally:
    """How a batch stands."""

    total: int
    kept: int = 0  #: succeeded in an earlier run of the same batch
    succeeded: int = 0  #: in this run
    failed: int = 0
    running: int = 0
    usage: Usage = field(default_factory=Usage)
    calls: int = 0
    failures: list[tuple[str, Failure]] = field(default_factory=list)  #: path and reason
    seconds: float = 0.0

    @property
    def done(self) -> int:
        return self.kept + self.succeeded + self.failed
