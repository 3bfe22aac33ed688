"""The actions of a job. `decide.advance` returns one; the attempt executes it."""

from dataclasses import dataclass

from threadmill_worker.lifecycle.observations import ToolCall
from threadmill_worker.lifecycle.progress import Intent, Leftover, Outcome, Progress


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
    """Find out whether a thread that existed before the job has a vector store."""


@dataclass(frozen=True)
class AttachStore:
    """Attach the store to a thread that existed before the job."""

    store_id: str


@dataclass(frozen=True)
class CreateThread:
    messages: int  #: how many of the job's messages the thread is created with
    run: int | None = None  #: the ordinal of a run to start in the same call


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
    """Find out whether the call of this intent took effect."""

    intent: Intent


@dataclass(frozen=True)
class CallTools:
    calls: tuple[ToolCall, ...]
    until: float  #: outputs after this time come too late


@dataclass(frozen=True)
class SubmitOutputs:
    run_id: str
    outputs: dict[str, str]


@dataclass(frozen=True)
class CancelRun:
    run_id: str


@dataclass(frozen=True)
class ReadAnswer:
    run_id: str


@dataclass(frozen=True)
class NameFile:
    """Find out the name of a cited file."""

    file_id: str


@dataclass(frozen=True)
class Download:
    """Download a file of the model to the artifact store."""

    file_id: str


@dataclass(frozen=True)
class ReadSteps:
    run_id: str


@dataclass(frozen=True)
class Unlock:
    """Cancel the foreign run that locks the thread."""

    run_id: str


@dataclass(frozen=True)
class Delete:
    leftover: Leftover


@dataclass(frozen=True)
class Finish:
    outcome: Outcome


#: Actions whose object cannot be found again if the reply is lost.
Making = Upload | CreateStore | CreateThread

#: Actions whose outcome is unknown if the reply is lost.
Sending = Making | AddMessage | StartRun | SubmitOutputs

#: Seconds that such a call may still take when its job ends or is handed back. With its reply, no search is needed.
LANDING_S = 3.0

#: Actions on the job's files. They are the same on each API.
FileAction = Upload | CreateStore | PollStore | NameFile | Download

#: Actions on a thread, its messages and its locks.
ThreadAction = InspectThread | AttachStore | CreateThread | AddMessage | Unlock

#: Actions on a run.
RunAction = StartRun | PollRun | SubmitOutputs | CancelRun | ReadAnswer | ReadSteps

#: Actions that call the server.
RemoteAction = FileAction | ThreadAction | RunAction | Resolve | Delete

Action = RemoteAction | Wait | CallTools | Finish


def is_counted(action: Action) -> bool:
    """Whether servers count the call against their limits of requests and tokens: it makes a model work."""
    return isinstance(action, StartRun | SubmitOutputs) or (isinstance(action, CreateThread) and action.run is not None)


#: What the lifecycle decides: the next action, or the progress after a decision that needs none.
Step = Action | Progress
