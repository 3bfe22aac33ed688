"""Whatever happens to the calls, the workers and the clock: a job ends, and ends as its runs did."""

from collections import Counter
from dataclasses import replace
from enum import StrEnum
from typing import assert_never

from hypothesis import given, note, settings
from hypothesis import strategies as st

from tests.unit.model_server import ENDS, STOPS, Life, ModelServer, answer_of
from threadmill.job import Failure, FailureKind, JobState, Usage
from threadmill.policy import Policy
from threadmill_worker.actions import AbandonRun, Action, CallTools, Decide, Delete, Finish, Settle, StartRun, Wait
from threadmill_worker.lifecycle import TIDY_TRIES, intend, next_action
from threadmill_worker.observe import conclude, observe
from threadmill_worker.progress import Intent, Outcome, Progress
from threadmill_worker.views import InDoubt, NotDone, OutputReady, View

START = 1_800_000_000.0
MOST_STEPS = 2000
#: All limits at about a tenth, so that a job takes fewer steps.
POLICY = Policy(queued_limit_s=30, run_limit_s=66, cancel_limit_s=10, unreachable_s=40)
CANCELLED = Outcome(JobState.CANCELLED, failure=Failure(kind=FailureKind.CANCELLED, message="the owner's wish"))


class Fault(StrEnum):
    """What goes wrong in one step."""

    NONE = "-"
    LOST_BEFORE = "request lost"
    LOST_AFTER = "reply lost"
    BUSY = "429"
    BUSY_LONG = "429 for a while"
    CRASH_UNSAVED = "worker dies before it saves"
    CRASH_BEFORE = "worker dies before the call"
    CRASH_AFTER = "worker dies after the call"
    CANCEL_BEFORE = "owner cancels, request not sent"
    CANCEL_AFTER = "owner cancels, reply not awaited"
    THREAD_GONE = "someone deletes the thread"
    SLOW = "the call takes long"
    JUMP = "minutes pass"


CRASHES = {Fault.CRASH_UNSAVED, Fault.CRASH_BEFORE, Fault.CRASH_AFTER}
CANCELS = {Fault.CANCEL_BEFORE, Fault.CANCEL_AFTER}


class Crash(Exception):
    """The worker is gone; the next one takes up the saved place."""


class World:
    """A job, its saved place and its server, with the runner's steps over them. `faults`: one for each step."""

    def __init__(self, job: Progress, server: ModelServer, faults: list[Fault]) -> None:
        self.server = server
        self.now = START
        self.progress = job
        self.cancel_wanted = False
        self.happened: set[Fault] = set()
        self.abandoned: set[str] = set()  #: runs that were cancelled and did not stop
        self.most_troubles = 0
        self.executed: Counter[str] = Counter()  #: tool calls
        self._journaled: set[str] = set()  #: tool calls whose output has been saved
        self._saved = job.to_json()
        self._faults = iter(faults)

    def see_through(self) -> Outcome:
        for _ in range(MOST_STEPS):
            fault = next(self._faults, Fault.NONE)
            self.happened.add(fault)
            self._befall(fault)
            action = next_action(self.progress, POLICY, self.now)
            note(f"{self.now - START:8.2f} s  {fault:32} {action}")
            if isinstance(action, Finish):
                return action.outcome
            try:
                self._carry_out(action, fault)
            except Crash:
                self.progress = Progress.from_json(self._saved)
                continue
            if self.cancel_wanted and self.progress.outcome is None:
                self._conclude(Decide(CANCELLED))
        raise AssertionError("the job does not end")

    def _befall(self, fault: Fault) -> None:
        if fault is Fault.JUMP:
            self.now += 20
        if fault is Fault.THREAD_GONE:
            self.server.threads.pop(self.progress.thread_id or "", None)

    def _carry_out(self, action: Action, fault: Fault) -> None:
        self._check(action)
        if fault is Fault.CRASH_UNSAVED:
            raise Crash
        self.progress = intend(self.progress, action)
        self._save()
        if fault is Fault.CRASH_BEFORE:
            raise Crash
        match action:
            case Decide() | AbandonRun():
                return self._conclude(action)
            case Wait(until):
                self.now = until + 0.01
                view = None
            case CallTools():
                view = self._call_tools(action, fault)
            case Finish():
                raise AssertionError("see_through ends before it")
            case _:
                if action == Settle(Intent.CREATE_THREAD) and fault not in CRASHES | CANCELS:
                    fault = Fault.NONE  # no call: no server lists its threads
                sent = fault not in (Fault.LOST_BEFORE, Fault.CANCEL_BEFORE, Fault.BUSY, Fault.BUSY_LONG)
                view = self.server.do(action, self.progress, self.now) if sent else InDoubt("reset")
                view = self._garble(view, fault)
        if fault is Fault.SLOW:
            self.now += 4
        if fault is Fault.CRASH_AFTER:
            raise Crash
        if fault in CANCELS:
            if self.progress.outcome is not None:
                raise Crash  # the runner leaves the job at its saved place
            self.cancel_wanted = True
            view = InDoubt("interrupted")
        if view is not None:
            self.progress = observe(self.progress, action, view, POLICY, self.now)
        self.most_troubles = max(self.most_troubles, self.progress.troubles)

    @staticmethod
    def _garble(view: View, fault: Fault) -> View:
        match fault:
            case Fault.LOST_AFTER:
                return InDoubt("timeout")
            case Fault.BUSY:
                return NotDone("slow down")
            case Fault.BUSY_LONG:
                return NotDone("slow down", FailureKind.RATE_LIMITED, 20.0)
            case _:
                return view

    def _call_tools(self, action: CallTools, fault: Fault) -> View | None:
        """One after the other, which the lifecycle cannot tell from all at once."""
        for call in action.calls:
            assert call.id not in self._journaled, "a finished tool call runs again"
            self.executed[call.id] += 1
            if fault in CRASHES | CANCELS and call == action.calls[-1]:
                return None
            self.progress = observe(self.progress, action, OutputReady(call.id, f"of {call.id}"), POLICY, self.now)
            self._save()
            self._journaled.add(call.id)
        return None

    def _conclude(self, action: Decide | AbandonRun) -> None:
        if isinstance(action, AbandonRun) and self.progress.run is not None:
            self.abandoned.add(self.progress.run.id)
        self.progress = conclude(self.progress, action, POLICY, self.now)

    def _save(self) -> None:
        self._saved = self.progress.to_json()
        assert Progress.from_json(self._saved) == self.progress

    def _check(self, action: Action) -> None:
        """What holds at every step."""
        progress, server = self.progress, self.server
        match action:
            case Wait(until):
                assert until > self.now, "a wait that does not wait"
                assert until <= progress.deadline_at or self.now >= progress.deadline_at or progress.outcome is not None
            case StartRun():
                assert self.now < progress.deadline_at
                assert not progress.outcome
                assert {run.id for run in server.alive_runs(self.now)} <= self.abandoned, "two runs at once"
                sent = server.threads.get(progress.thread_id or "", list(range(progress.messages)))
                assert sent == list(range(progress.messages)), "each message once, in order"
            case Delete():
                assert progress.outcome is not None
            case _:
                pass


ENDING = {
    FailureKind.INCOMPLETE: {"incomplete"},
    FailureKind.EMPTY_ANSWER: {"completed"},
    FailureKind.EXPIRED: {"expired"},
    FailureKind.RATE_LIMITED: {"failed"},
    FailureKind.SERVER_ERROR: {"failed"},
    FailureKind.REJECTED: {"failed"},
    FailureKind.CANCELLED_REMOTELY: {"cancelled"},
}

lives = st.builds(
    Life,
    end=st.sampled_from(ENDS),
    rounds=st.integers(0, 3),
    calls=st.integers(1, 3),
    queued_s=st.sampled_from([0.5, 5.0, 25.0, 200.0]),
    work_s=st.sampled_from([0.0, 3.0, 20.0, 50.0]),
    stop=st.sampled_from(STOPS),
    expires=st.booleans(),
)
jobs = st.builds(
    Progress,
    deadline_at=st.sampled_from([180.0, 5.0, 30.0, 70.0, 1000.0]).map(lambda timeout_s: START + timeout_s),
    messages=st.sampled_from([1, 32, 34]),
)
#: So many steps without a fault, then so many with this one.
spells = st.tuples(st.integers(0, 12), st.sampled_from(Fault), st.sampled_from([1, 2, 6, 16]))
faults = st.lists(spells, max_size=12).map(
    lambda spells: [fault for quiet, fault, times in spells for fault in [Fault.NONE] * quiet + [fault] * times]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(lives, min_size=1, max_size=3), jobs, faults)
def test_a_job_ends_as_its_runs_did_and_leaves_nothing_behind(
    lives: list[Life], job: Progress, faults: list[Fault]
) -> None:
    server = ModelServer(lives)
    world = World(job, server, faults)
    outcome = world.see_through()
    progress, happened = world.progress, world.happened
    server.live_on(world.now)
    last = max((run for run in server.runs), key=lambda run: run.ordinal, default=None)

    # The outcome tells the truth.
    match outcome.state:
        case JobState.SUCCEEDED:
            assert last is not None
            assert [run for run in server.runs if run.ordinal == last.ordinal] == [last]
            assert last.status == "completed"
            assert outcome.content == answer_of(last)
        case JobState.CANCELLED:
            assert happened & CANCELS
        case JobState.FAILED:
            assert outcome.failure is not None
    failure = outcome.failure.kind if outcome.failure else None
    if failure in ENDING and not happened - {Fault.NONE, Fault.SLOW, Fault.JUMP}:
        assert last is not None
        assert last.status in ENDING[failure]
    if failure is FailureKind.OVERDUE:
        assert world.now >= job.deadline_at
    if failure is FailureKind.UNREACHABLE:
        assert world.most_troubles > TIDY_TRIES

    # Runs and tools, as few as can be.
    assert len(server.runs) <= 1 + POLICY.reruns
    accepted = Counter(call for run in server.runs for call in run.accepted)
    assert set(accepted.values()) <= {1}
    assert accepted.keys() <= world.executed.keys()
    if not happened & (CRASHES | CANCELS):
        assert set(world.executed.values()) <= {1}
    ended = [run for run in server.runs if not run.alive]
    assert progress.usage.total_tokens <= 2 * len(ended)

    # Nothing is left behind unseen, nor pulled away under a run that could be stopped.
    leftovers = {leftover.id for leftover in progress.leftovers}
    assert len(server.threads.keys() - leftovers) <= progress.lost_threads
    assert {leftover.tries for leftover in progress.leftovers} <= {TIDY_TRIES}
    assert all(run.life.stop in ("never", "refused") for run in server.deleted_alive) or world.most_troubles >= TIDY_TRIES


def test_nothing(): assert assert_never and replace and Usage
