"""What a job can do next. `lifecycle.next_action` picks one; the runner carries it out."""

from dataclasses import dataclass

from threadmill.job.result import Failure
from threadmill_worker.lifecycle.observations import ToolCall
from threadmill_worker.lifecycle.progress import Intent, Leftover, Outcome


@dataclass(frozen=True)
class Upload:
    index: int  #: among the files the job uploads


@dataclass(frozen=True)
class CreateStore:
    """A vector store of the job's files for file_search."""


@dataclass(frozen=True)
class PollStore:
    store_id: str


@dataclass(frozen=True)
class InspectThread:
    """One that was there before us: has it a vector store?"""


@dataclass(frozen=True)
class AttachStore:
    """To a thread that was there before us."""

    store_id: str


@dataclass(frozen=True)
class CreateThread:
    """With the first `messages` messages of the job; `run`: and start that run in the same call."""

    messages: int
    run: int | None = None


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
class PollRun:
    """Retrieve the run."""

    run_id: str


@dataclass(frozen=True)
class Resolve:
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
class NameFile:
    """Find out what a cited file is called."""

    file_id: str


@dataclass(frozen=True)
class Download:
    """A file the model made, to the artifact store."""

    file_id: str


@dataclass(frozen=True)
class ReadSteps:
    run_id: str


@dataclass(frozen=True)
class AskAgain:
    """The answer does not fit what the job asked for: nothing is called, another run follows."""

    problem: str


@dataclass(frozen=True)
class Unlock:
    """Stop the stranger's run that locks our thread."""

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


#: What needs no call.
Decision = Decide | AskAgain | AbandonRun

#: What makes something that could not be found again if its reply were lost.
Making = Upload | CreateStore | CreateThread

#: What is in doubt if its reply is lost.
Sending = Making | AddMessage | StartRun | SubmitOutputs

#: Seconds that such a call may still take when its job ends or is handed back: its reply saves a search.
LANDING_S = 3.0

Action = (
    Making
    | PollStore
    | InspectThread
    | AttachStore
    | AddMessage
    | StartRun
    | Wait
    | PollRun
    | Resolve
    | CallTools
    | SubmitOutputs
    | CancelRun
    | Unlock
    | ReadAnswer
    | NameFile
    | Download
    | ReadSteps
    | Delete
    | Decision
    | Finish
)
