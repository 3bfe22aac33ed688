"""Plays a job through: the server's part is a script, the steps are the runner's, and only waits take time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tests.unit.lifecycle.transitions import Transition, Transitions

from threadmill.job.result import Artifact, Failure, FailureKind
from threadmill.settings.run_limits import RunLimits
from threadmill_worker.lifecycle.actions import (
    Action,
    AddMessage,
    AttachStore,
    CallTools,
    CancelRun,
    CreateStore,
    Delete,
    Download,
    Finish,
    InspectThread,
    NameFile,
    PollRun,
    PollStore,
    ReadAnswer,
    ReadSteps,
    Resolve,
    StartRun,
    SubmitOutputs,
    Unlock,
    Upload,
    Wait,
)
from threadmill_worker.lifecycle.decide import advance, intend
from threadmill_worker.lifecycle.observations import (
    AnswerRead,
    Deleted,
    Downloaded,
    FileNamed,
    Gone,
    MessageAdded,
    NothingFound,
    NotSent,
    Observation,
    OutputReady,
    Rejected,
    RunObservation,
    StepsRead,
    StoreSeen,
    ThreadCreated,
    ThreadSeen,
    ToolCall,
    Unknown,
    Unlocked,
    Uploaded,
)
from threadmill_worker.lifecycle.observe import observe
from threadmill_worker.lifecycle.progress import Features, Outcome, Progress

START = 1_800_000_000.0
TIMEOUT_S = 3600.0

QUEUED, RUNNING, COMPLETED, INCOMPLETE, EXPIRED, CANCELLING, STOPPED, ODD = (
    RunObservation("?", status)
    for status in (
        "queued", "in_progress", "completed", "incomplete", "expired", "cancelling", "cancelled", "pondering",
    )
)  # fmt: skip
LOST = Unknown("timeout")
BUSY = NotSent("slow down", FailureKind.RATE_LIMITED)
GONE = Gone("No thread found")
REFUSED = Rejected(Failure(kind=FailureKind.UNAUTHORISED, message="401"))
ANSWER = AnswerRead(({"type": "text", "text": {"value": "42", "annotations": []}},))


def next_action(progress: Progress, limits: RunLimits, now: float) -> Action:
    return advance(progress, limits, now)[1]


def asks(*calls: str) -> RunObservation:
    return RunObservation("?", "requires_action", tuple(ToolCall(call, "weigh", "{}") for call in calls))


def failed(code: str | None, message: str = "") -> RunObservation:
    return RunObservation("?", "failed", error_code=code, error_message=message)


@dataclass(frozen=True)
class Story:
    actions: tuple[Action, ...]
    moments: tuple[float, ...]  #: when each action was taken, in seconds from the start
    progress: Progress
    outcome: Outcome
    transitions: frozenset[Transition]

    @property
    def kind(self) -> FailureKind | None:
        return self.outcome.failure.kind if self.outcome.failure else None

    @property
    def calls(self) -> str:
        """What was done, without the waits."""
        return " ".join(type(action).__name__ for action in self.actions if not isinstance(action, Wait | Finish))

    def times(self, kind: type[Action]) -> list[float]:
        return [moment for moment, action in zip(self.moments, self.actions, strict=True) if isinstance(action, kind)]


#: What the server shows where a script says nothing else.
USUAL: Mapping[type[Action], Sequence[Observation]] = {
    Upload: [Uploaded("file-1"), Uploaded("file-2")],
    CreateStore: [StoreSeen("vs_1", ready=False)],
    PollStore: [StoreSeen("vs_1", ready=True)],
    InspectThread: [ThreadSeen(None)],
    AttachStore: [StoreSeen("vs_1", ready=True)],
    NameFile: [FileNamed("file-cited", "source.txt")],
    Download: [Downloaded(Artifact(file_id="file-made", name="chart.png", uri="/artifacts/chart.png"))],
    ReadSteps: [StepsRead(({"type": "code_interpreter", "input": "1+1", "logs": "2", "images": []},))],
    Unlock: [Unlocked()],
    AddMessage: [MessageAdded()],
    StartRun: [QUEUED],
    PollRun: [COMPLETED],
    CancelRun: [STOPPED],
    Resolve: [NothingFound()],
    SubmitOutputs: [QUEUED],
    ReadAnswer: [ANSWER],
    Delete: [Deleted()],
}


def play(
    script: Mapping[type[Action], Sequence[Observation]] = {},
    *,
    messages: int = 1,
    features: Features = Features(),  # noqa: B008
    limits: RunLimits = RunLimits(),  # noqa: B008
    cancel_at: type[Action] | None = None,
    overdue_at: type[Action] | None = None,
) -> Story:
    """The views of a kind of action are shown one after the other, the last one again and again.

    `cancel_at`, `overdue_at`: the owner cancels, or the deadline passes, during the first action of this kind.
    """
    thread = "thread_before" if features.continues else None
    now, progress = START, Progress(START + TIMEOUT_S, messages, features, thread_id=thread)
    done: list[tuple[float, Action]] = []
    shown = {kind: list(views) for kind, views in {**USUAL, **script}.items()}
    cancelled, transitions = False, Transitions()
    for _ in range(1000):
        progress, action = advance(progress, limits, now, cancelled=cancelled)
        transitions.step(progress, action)
        done.append((now - START, action))
        progress = intend(progress, action, now)
        if isinstance(action, Finish):
            moments, actions = zip(*done, strict=True)
            return Story(actions, moments, progress, action.outcome, frozenset(transitions.taken))
        assert not isinstance(action, Wait) or action.until > now, "a wait that does not wait"
        if isinstance(action, overdue_at or ()):
            now, overdue_at = max(now, progress.deadline_at), None
        if isinstance(action, cancel_at or ()) and not cancelled:
            cancelled = True
            continue
        match action:
            case Wait(until):
                now = max(now, until)
            case CallTools(calls):
                for call in calls:
                    progress = observe(progress, action, OutputReady(call.id, f"{call.id} done"), limits, now)
            case _:
                views = shown.get(type(action), [ThreadCreated(f"thread_{len(done)}")])
                view = views.pop(0) if len(views) > 1 else views[0]
                if isinstance(view, RunObservation):
                    view = replace(view, id=progress.run.id if progress.run else f"run_{progress.runs + 1}")
                progress = observe(progress, action, view, limits, now)
    raise AssertionError("the job does not end")
