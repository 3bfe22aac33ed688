"""What a job can do next. `lifecycle.next_action` picks one; the runner carries it out."""

from dataclasses import dataclass

from threadmill.result import Failure
from threadmill_worker.progress import Intent, Leftover, Outcome
from threadmill_worker.views import ToolCall


@dataclass(frozen=True)
class CreateThread:
    """With the first `messages` messages of the job."""

    messages: int


@dataclass(frozen=True)
class AddMessage:
    index: int


@dataclass(frozen=True)
class StartRun:
    ordinal: int  #: 1 for the job's first run


@dataclass(frozen=True)
class Wait:
    until: float


@dataclass(frozen=True)
class Look:
    """Retrieve the run."""

    run_id: str


@dataclass(frozen=True)
class Settle:
    """Find out whether the call of this intent landed."""

    intent: Intent


@dataclass(frozen=True)
class CallTools:
    calls: tuple[ToolCall, ...]
    until: float  #: when their outputs are of no use any more


@dataclass(frozen=True)
class SubmitOutputs:
    run_id: str
    outputs: dict[str, str]


@dataclass(frozen=True)
class CancelRun:
    run_id: str


@dataclass(frozen=True)
class AbandonRun:
    """Stop caring for a run that does not stop: nothing is called."""

    failure: Failure


@dataclass(frozen=True)
class ReadAnswer:
    run_id: str


@dataclass(frozen=True)
class Delete:
    leftover: Leftover


@dataclass(frozen=True)
class Decide:
    """The outcome is known without a further look: nothing is called."""

    outcome: Outcome


@dataclass(frozen=True)
class Finish:
    outcome: Outcome


Action = (
    CreateThread
    | AddMessage
    | StartRun
    | Wait
    | Look
    | Settle
    | CallTools
    | SubmitOutputs
    | CancelRun
    | AbandonRun
    | ReadAnswer
    | Delete
    | Decide
    | Finish
)
