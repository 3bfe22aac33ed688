"""Plays a job through: the server's part is a script, the steps are the runner's, and only waits take time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tests.unit.lifecycle.transitions import Transition, Transitions

from threadmill.job.result import Artifact, Failure, FailureKind
from threadmill.settings.endpoints.run_limits import RunLimits
from threadmill_worker.lifecycle import actions as act
from threadmill_worker.lifecycle import observations as obs
from threadmill_worker.lifecycle.decide import advance, intend
from threadmill_worker.lifecycle.observe import observe
from threadmill_worker.lifecycle.progress import Features, Outcome, Progress

START = 1_800_000_000.0
TIMEOUT_S = 3600.0

QUEUED, RUNNING, COMPLETED, INCOMPLETE, EXPIRED, CANCELLING, STOPPED, ODD = (
    obs.RunObservation("?", status)
    for status in (
        "queued", "in_progress", "completed", "incomplete", "expired", "cancelling", "cancelled", "pondering",
    )
)  # fmt: skip
LOST = obs.Unknown("timeout")
BUSY = obs.NotSent("slow down", FailureKind.RATE_LIMITED)
GONE = obs.Gone("No thread found")
REFUSED = obs.Rejected(Failure(kind=FailureKind.UNAUTHORISED, message="401"))
ANSWER = obs.AnswerRead(({"type": "text", "text": {"value": "42", "annotations": []}},))


def next_action(progress: Progress, limits: RunLimits, now: float) -> act.Action:
    return advance(progress, limits, now)[1]


def asks(*calls: str) -> obs.RunObservation:
    return obs.RunObservation("?", "requires_action", tuple(obs.ToolCall(call, "weigh", "{}") for call in calls))


def failed(code: str | None, message: str = "") -> obs.RunObservation:
    return obs.RunObservation("?", "failed", error_code=code, error_message=message)


@dataclass(frozen=True)
class Story:
    actions: tuple[act.Action, ...]
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
        return " ".join(
            type(action).__name__ for action in self.actions if not isinstance(action, act.Wait | act.Finish)
        )

    def times(self, kind: type[act.Action]) -> list[float]:
        return [moment for moment, action in zip(self.moments, self.actions, strict=True) if isinstance(action, kind)]


#: What the server shows where a script says nothing else.
USUAL: Mapping[type[act.Action], Sequence[obs.Observation]] = {
    act.Upload: [obs.Uploaded("file-1"), obs.Uploaded("file-2")],
    act.CreateStore: [obs.StoreSeen("vs_1", ready=False)],
    act.PollStore: [obs.StoreSeen("vs_1", ready=True)],
    act.InspectThread: [obs.ThreadSeen(None)],
    act.AttachStore: [obs.StoreSeen("vs_1", ready=True)],
    act.NameFile: [obs.FileNamed("file-cited", "source.txt")],
    act.Download: [obs.Downloaded(Artifact(file_id="file-made", name="chart.png", uri="/artifacts/chart.png"))],
    act.ReadSteps: [obs.StepsRead(({"type": "code_interpreter", "input": "1+1", "logs": "2", "images": []},))],
    act.Unlock: [obs.Unlocked()],
    act.AddMessage: [obs.MessageAdded()],
    act.StartRun: [QUEUED],
    act.PollRun: [COMPLETED],
    act.CancelRun: [STOPPED],
    act.Resolve: [obs.NothingFound()],
    act.SubmitOutputs: [QUEUED],
    act.ReadAnswer: [ANSWER],
    act.Delete: [obs.Deleted()],
}


def play(
    script: Mapping[type[act.Action], Sequence[obs.Observation]] = {},
    *,
    messages: int = 1,
    features: Features = Features(),  # noqa: B008
    limits: RunLimits = RunLimits(),  # noqa: B008
    cancel_at: type[act.Action] | None = None,
    overdue_at: type[act.Action] | None = None,
) -> Story:
    """The views of a kind of action are shown one after the other, the last one again and again.

    `cancel_at`, `overdue_at`: the owner cancels, or the deadline passes, during the first action of this kind.
    """
    thread = "thread_before" if features.continues else None
    now, progress = START, Progress(START + TIMEOUT_S, messages, features, thread_id=thread)
    done: list[tuple[float, act.Action]] = []
    shown = {kind: list(views) for kind, views in {**USUAL, **script}.items()}
    cancelled, transitions = False, Transitions()
    for _ in range(3000):
        progress, action = advance(progress, limits, now, cancelled=cancelled)
        transitions.step(progress, action)
        done.append((now - START, action))
        before, progress = progress, intend(progress, action, now)
        if isinstance(action, act.Finish):
            moments, actions = zip(*done, strict=True)
            return Story(actions, moments, progress, action.outcome, frozenset(transitions.taken))
        assert not isinstance(action, act.Wait) or action.until > now, "a wait that does not wait"
        if isinstance(action, overdue_at or ()):
            now, overdue_at = max(now, progress.deadline_at), None
        if isinstance(action, cancel_at or ()) and not cancelled:
            cancelled = True
            continue
        match action:
            case act.Wait(until):
                now = max(now, until)
            case act.CallTools(calls):
                for call in calls:
                    progress = observe(progress, action, obs.OutputReady(call.id, f"{call.id} done"), limits, now)
            case _:
                views = shown.get(type(action), [obs.ThreadCreated(f"thread_{len(done)}")])
                view = views.pop(0) if len(views) > 1 else views[0]
                if isinstance(view, obs.RunObservation):
                    view = replace(view, id=progress.run.id if progress.run else f"run_{progress.runs + 1}")
                called = before if isinstance(view, obs.Limited) else progress  # no call, so no intent either
                progress = observe(called, action, view, limits, now)
    raise AssertionError("the job does not end")
