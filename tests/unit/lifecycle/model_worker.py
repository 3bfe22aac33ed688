"""The runner in miniature: its steps over a model server, with a clock that waits move and a fault for each step."""

from collections import Counter
from enum import StrEnum

from hypothesis import note
from tests.unit.lifecycle.model_server import EXPIRES_S, ModelServer
from tests.unit.lifecycle.transitions import Transitions

from threadmill.job.result import Failure, FailureKind
from threadmill.settings.endpoints.run_limits import RunLimits
from threadmill_worker.lifecycle import actions as act
from threadmill_worker.lifecycle import observations as obs
from threadmill_worker.lifecycle.decide import advance, intend, is_worth_saving
from threadmill_worker.lifecycle.observe import observe
from threadmill_worker.lifecycle.progress import Intent, Outcome, Progress
from threadmill_worker.lifecycle.steps.current_run import SUBMIT_MARGIN_S

START = 1_800_000_000.0
MOST_STEPS = 2000

#: All limits at about a tenth, so that a job takes fewer steps.
LIMITS = RunLimits(queued_limit_s=30, run_limit_s=66, cancel_limit_s=10, unreachable_limit_s=40)


#: How long a limit makes a call wait.
LIMITED_S = 7.0


class Fault(StrEnum):
    NONE = "-"
    SLOW = "the call takes long"
    JUMP = "time passes"
    LOST_BEFORE = "request lost"
    LOST_AFTER = "reply lost"
    BUSY = "429"
    BUSY_LONG = "429 for a while"
    NO_CAPACITY = "429 of the lane"
    LIMITED = "a limit makes the call wait"
    REFUSED = "401"
    CRASH_UNSAVED = "worker dies before it saves"
    CRASH_BEFORE = "worker dies before the call"
    CRASH_AFTER = "worker dies after the call"
    CANCEL_BEFORE = "owner cancels, request not sent"
    CANCEL_AFTER = "owner cancels, reply not awaited"
    LEAVE = "worker is told to end during the call"
    THREAD_GONE = "someone deletes the thread"


CRASHES = {Fault.CRASH_UNSAVED, Fault.CRASH_BEFORE, Fault.CRASH_AFTER}
CANCELS = {Fault.CANCEL_BEFORE, Fault.CANCEL_AFTER}
UNSENT = {
    Fault.LOST_BEFORE,
    Fault.BUSY,
    Fault.BUSY_LONG,
    Fault.NO_CAPACITY,
    Fault.REFUSED,
    Fault.CANCEL_BEFORE,
}

#: The calls that ask for work at the price of a lane.
PRICED = (act.StartRun, act.SubmitOutputs)


#: Settled without a call: no server lists its threads, and files carry no mark.
UNCALLED = (act.Resolve(Intent.CREATE_THREAD), act.Resolve(Intent.UPLOAD))


class Crash(Exception):
    """The worker is gone; the next one takes up the saved place."""


class ModelWorker:
    """Sees one job through, in as many lives as it takes."""

    def __init__(self, job: Progress, server: ModelServer, faults: list[Fault]) -> None:
        self.server = server
        self.now = START
        self.progress = job
        self.happened: set[Fault] = set()
        self.most_troubles = 0
        self.executed: Counter[str] = Counter()  #: tool calls, by arguments
        self._journaled: set[str] = set()  #: tool calls, by arguments whose output has been saved
        self._abandoned: set[str] = set()  #: runs that were told to stop and did not
        self._cancel_wanted = False
        self._begun, self._saved = job, ""
        self._transitions = Transitions()
        self._faults = iter(faults)

    def execute(self) -> Outcome:
        for _ in range(MOST_STEPS):
            fault = next(self._faults, Fault.NONE)
            self.happened.add(fault)
            if fault is Fault.JUMP:
                self.now += 20
            if fault is Fault.THREAD_GONE:
                self.server.threads.pop(self.progress.thread_id or "", None)
            action = self._advance()
            note(f"{self.now - START:8.2f} s  {fault:32} {action}")
            if isinstance(action, act.Finish):
                return action.outcome
            self._check(action)
            try:
                self._carry_out(action, fault)
            except Crash:
                self.progress = self._last_saved or self._begun
                self._transitions.forget()
        raise AssertionError("the job does not end")

    def _advance(self) -> act.Action:
        run = self.progress.run
        self.progress, action = advance(self.progress, LIMITS, self.now, cancelled=self._cancel_wanted)
        if run is not None and self.progress.run is None and run.status not in obs.ENDED:
            self._abandoned.add(run.id)
        self._transitions.step(self.progress, action)
        return action

    def _carry_out(self, action: act.Action, fault: Fault) -> None:
        if fault is Fault.CRASH_UNSAVED:
            raise Crash
        if fault is Fault.LIMITED and not isinstance(action, act.Wait | act.CallTools | act.Finish):
            limited = obs.Limited(self.now + LIMITED_S, "10 requests a minute")
            self.progress = observe(self.progress, action, limited, LIMITS, self.now)
            return
        self.progress = intend(self.progress, action, self.now)
        if is_worth_saving(self.progress, self._last_saved, action, self.now):
            self._save()
        if fault is Fault.CRASH_BEFORE:
            raise Crash
        match action:
            case act.Wait(until):
                self.now = until + 0.01
                view = None
            case act.CallTools():
                self._call_tools(action, fault)
                view = None
            case act.Finish():
                raise AssertionError("see_through ends before it")
            case _:
                view = self._call(action, fault)
        if fault is Fault.SLOW:
            self.now += 4
        if fault is Fault.CRASH_AFTER:
            raise Crash
        if fault in CANCELS:
            self._cancel_wanted = True
            if self.progress.outcome is not None:
                raise Crash  # the runner leaves the job at its saved place
        elif view is not None:
            self.progress = observe(self.progress, action, view, LIMITS, self.now)
        self.most_troubles = max(self.most_troubles, self.progress.errors.count)

    def _call(self, action: act.RemoteAction, fault: Fault) -> obs.Observation:
        if action in UNCALLED or (fault is Fault.NO_CAPACITY and not isinstance(action, PRICED)):
            fault = Fault.NONE
        view = obs.Unknown("reset") if fault in UNSENT else self.server.do(action, self.progress, self.now)
        match fault:
            case Fault.LOST_AFTER:
                return obs.Unknown("timeout")
            case Fault.BUSY:
                return obs.NotSent("slow down")
            case Fault.BUSY_LONG:
                return obs.NotSent("slow down", FailureKind.RATE_LIMITED, 20.0)
            case Fault.NO_CAPACITY:
                return obs.LaneClosed("no capacity", passes=True)
            case Fault.REFUSED:
                return obs.Rejected(Failure(kind=FailureKind.UNAUTHORISED, message="401"))
            case _:
                return view

    def _call_tools(self, action: act.CallTools, fault: Fault) -> None:
        """One after the other, which the lifecycle cannot tell from all at once."""
        for call in action.calls:
            assert call.id not in self._journaled, "a finished tool call runs again"
            self.executed[call.arguments] += 1
            if fault in CRASHES | CANCELS and call == action.calls[-1]:
                return
            view = obs.OutputReady(call.id, f"output of {call.id}")
            self.progress = observe(self.progress, action, view, LIMITS, self.now)
            self._save()
            self._journaled.add(call.id)

    @property
    def _last_saved(self) -> Progress | None:
        return Progress.from_json(self._saved) if self._saved else None

    def _save(self) -> None:
        self._saved = self.progress.to_json()
        assert Progress.from_json(self._saved) == self.progress

    def _check(self, action: act.Action) -> None:
        """What holds at every step."""
        progress = self.progress
        match action:
            case act.Wait(until):
                assert until > self.now, "a wait that does not wait"
                assert until <= progress.deadline_at or self.now >= progress.deadline_at or progress.outcome is not None
            case act.CallTools(_, until):
                run = next(run for run in self.server.runs if progress.run and run.id == progress.run.id)
                expires_at = run.created_at + EXPIRES_S
                assert until >= min(expires_at - SUBMIT_MARGIN_S, progress.deadline_at), (
                    "its tools have too little time"
                )
            case act.StartRun():
                assert self.now < progress.deadline_at, "a run is started too late"
                alive = {run.id for run in self.server.alive_runs(self.now)}
                assert alive <= self._abandoned, "two runs at once"
                messages = list(range(progress.messages))
                sent = self.server.threads.get(progress.thread_id or "", messages)
                assert sent == messages, "each message once, in order"
