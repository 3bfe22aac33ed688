"""Observations of a remote batch and of each request in it."""

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
    errors: str | None  #: id of the file of errors
    limited: bool = False  #: it failed because it exceeds a limit
    wrong: dict[int, str] = field(default_factory=dict)  #: why lines of its input were refused, by line number from 1

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(file_id for file_id in (self.answers, self.errors) if file_id)


@dataclass(frozen=True)
class Answered:
    """The result of one request. Without a run and without a failure, the server did not process it."""

    custom_id: str
    run: RunObservation | None
    failure: Failure | None = None  #: why the server refused it
