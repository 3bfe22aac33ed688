"""Jobs whose runs are calls, while replies are lost, refused or late, workers die at any step, and users cancel."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from threadmill.job.result import FailureKind, JobState, Usage
from threadmill.settings.endpoints.run_limits import RunLimits
from threadmill_worker.lifecycle import actions as act
from threadmill_worker.lifecycle import observations as obs
from threadmill_worker.lifecycle.decide import advance, intend, time_limit
from threadmill_worker.lifecycle.observe import observe
from threadmill_worker.lifecycle.progress import Features, Intent, Outcome, Progress

LIMITS = RunLimits(run_limit_s=50, unreachable_limit_s=120, max_reruns=2)
DEADLINE = 1000.0
ANSWER = obs.AnswerRead(({"type": "text", "text": {"value": "So.", "annotations": []}},))

#: What becomes of a call. The first two bring a reply; after the others its outcome is unknown, or it had no effect.
FATES = ("answered", "failed", "lost", "late", "refused", "busy", "killed before", "killed during")


class World:
    """A server of calls, and the worker that makes them. `fates`: of the calls, in order; then all are answered."""

    def __init__(self, rounds: int, fates: list[str], cancel_at: float | None) -> None:
        self.rounds = rounds
        self.fates = fates
        self.cancel_at = cancel_at
        self.now = 0.0
        self.served = 0  #: calls for which the server worked
        self.lost = 0
        self.failed = 0
        self.tools: Counter[str] = Counter()
        features = Features(messages_in_run=True)
        self.progress = Progress(deadline_at=DEADLINE, messages=1, features=features)

    def run(self) -> Outcome:
        for _ in range(500):
            cancelled = self.cancel_at is not None and self.now >= self.cancel_at
            self.progress, action = advance(self.progress, LIMITS, self.now, cancelled=cancelled)
            if isinstance(action, act.Finish):
                return action.outcome
            self.progress = intend(self.progress, action, self.now)
            self._carry_out(action)
        raise AssertionError("the job does not end")

    def _carry_out(self, action: act.Action) -> None:
        match action:
            case act.Wait(until):
                self.now = max(self.now, until)
            case act.StartRun() | act.SubmitOutputs():
                self._call(action)
            case act.Resolve(Intent.START_RUN | Intent.SUBMIT_OUTPUTS):
                self._observe(action, obs.Untraceable())
            case act.CallTools(calls):
                for call in calls:
                    self.tools[call.id] += 1
                    self._observe(action, obs.OutputReady(call.id, "1 kg"))
            case _:
                raise AssertionError(f"nothing of a call is on the server, for {action}")

    def _call(self, action: act.Action) -> None:
        limit_s = time_limit(self.progress, action, LIMITS, self.now)
        fate = self.fates.pop(0) if self.fates else "answered"
        ends: dict[str, Callable[[], obs.Observation | None]] = {
            "answered": lambda: self._reply(action),
            "failed": self._failure,
            "lost": lambda: obs.Unknown("reset"),
            "late": lambda: obs.Unknown("not complete"),
            "refused": lambda: obs.NotSent("500", FailureKind.SERVER_ERROR),
            "busy": lambda: obs.NotSent("429", FailureKind.RATE_LIMITED, 3.0),
            "killed before": lambda: None,
            "killed during": lambda: None,
        }
        self.now += limit_s if fate == "late" else 2.0
        self.served += fate in ("answered", "failed", "lost", "late", "killed during")
        self.lost += fate in ("lost", "late", "killed before", "killed during")
        seen = ends[fate]()
        if seen is None:
            self.progress = Progress.from_json(self.progress.to_json())  # what the next worker finds
        else:
            self._observe(action, seen)

    def _reply(self, action: act.Action) -> obs.RunObservation:
        number = 0
        if isinstance(action, act.SubmitOutputs) and self.progress.run is not None:
            number = self.progress.run.rounds + 1
        fields: dict[str, Any] = {"usage": Usage(total_tokens=1), "is_kept": False, "is_call": True}
        name = f"run-{self.progress.runs + (number == 0)}-{number}"
        if number < self.rounds:
            call = obs.ToolCall(f"{name}/call", "weigh", f'"{number}"')
            return obs.RunObservation(name, "requires_action", (call,), **fields)
        return obs.RunObservation(name, "completed", answer=ANSWER, **fields)

    def _failure(self) -> obs.RunObservation:
        self.failed += 1
        message = "the server ended the answer: error"
        return obs.RunObservation(f"failed-{self.failed}", "failed", error_message=message, is_kept=False, is_call=True)

    def _observe(self, action: act.Action, seen: obs.Observation) -> None:
        self.progress = observe(self.progress, action, seen, LIMITS, self.now)


@given(
    st.integers(0, 3),
    st.lists(st.sampled_from(FATES), max_size=8),
    st.none() | st.floats(0, 100),
)
def test_every_job_ends_and_counts_what_it_may_have_paid_twice(rounds, fates, cancel_at):
    world = World(rounds, fates, cancel_at)
    outcome = world.run()

    assert outcome.state in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)
    assert world.now <= DEADLINE + LIMITS.run_limit_s
    assert world.progress.lost.runs == world.lost
    assert world.progress.leftovers == ()
    assert set(world.tools.values()) <= {1}, "a worker that was not killed during a tool calls it once"


@given(st.integers(0, 3), st.lists(st.sampled_from(["lost", "refused", "busy", "killed during"]), max_size=4))
def test_trouble_that_passes_costs_calls_and_no_answer(rounds, fates):
    world = World(rounds, list(fates), None)
    outcome = world.run()

    assert (outcome.state, outcome.text) == (JobState.SUCCEEDED, "So.")
    assert world.progress.runs == 1
    assert world.served == rounds + 1 + world.lost
    assert world.progress.cost.usage.total_tokens == rounds + 1
