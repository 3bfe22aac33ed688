"""What a server shows of a remote batch, and of each request in it."""

from dataclasses import dataclass, field

from threadmill.job.result import Failure
from threadmill_worker.lifecycle.observations import RunObservation


@dataclass(frozen=True)
class BatchObservation:
    """A remote batch as the server shows it."""

    status: str
    over: bool
    reason: str  #: why it failed as a whole; '' if it did not
    answers: str | None  #: id of the file of answers
    errors: str | None  #: id of the file of what went wrong
    limited: bool = False  #: it failed because it exceeds a limit
    wrong: dict[int, str] = field(default_factory=dict)  #: why lines of its input are refused, by line number from 1

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(file_id for file_id in (self.answers, self.errors) if file_id)


@dataclass(frozen=True)
class Answered:
    """What came of one request."""

    custom_id: str
    run: RunObservation | None  #: None: the server refused it, or did not come to it
    failure: Failure | None = None  #: why it was refused; None without a run: the server did not come to it
