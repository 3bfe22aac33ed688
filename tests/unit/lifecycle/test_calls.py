"""A run that is one call: nothing of it is on the server once the call has returned."""

from dataclasses import replace

from threadmill.job.result import JobState, Usage
from threadmill.settings.endpoints.run_limits import RunLimits
from threadmill_worker.lifecycle.actions import CallTools, Finish, Resolve, StartRun, SubmitOutputs
from threadmill_worker.lifecycle.decide import advance, intend, time_limit
from threadmill_worker.lifecycle.observations import (
    AnswerRead,
    OutputReady,
    RunObservation,
    ToolCall,
    Unknown,
    Untraceable,
)
from threadmill_worker.lifecycle.observe import observe
from threadmill_worker.lifecycle.progress import Features, Intent, Progress

LIMITS = RunLimits(run_limit_s=100)
NEW = Progress(deadline_at=1000, messages=1, features=Features(messages_in_run=True, steps=True))
CALLS = (ToolCall("call_1", "weigh", "{}"),)
ASKS = RunObservation(
    "run-1:c",
    "requires_action",
    CALLS,
    usage=Usage(total_tokens=5),
    is_kept=False,
    is_call=True,
    steps=({"type": "function", "name": "weigh", "arguments": "{}", "call_id": "call_1"},),
)
ANSWER = AnswerRead(({"type": "text", "text": {"value": "1 kg", "annotations": []}},))
ENDS = RunObservation(
    "run-1-2:c", "completed", usage=Usage(total_tokens=7), answer=ANSWER, is_kept=False, is_call=True, steps=()
)


def started(now: float = 10.0) -> Progress:
    progress, action = advance(NEW, LIMITS, 0.0)
    assert action == StartRun(1)
    return observe(intend(progress, action, 0.0), action, ASKS, LIMITS, now)


def test_its_rounds_are_calls_of_their_own_each_paid_for_itself():
    progress, action = advance(started(), LIMITS, 10.0)
    assert isinstance(action, CallTools)
    progress = observe(progress, action, OutputReady("call_1", "1 kg"), LIMITS, 11.0)
    progress, action = advance(progress, LIMITS, 11.0)
    assert action == SubmitOutputs("run-1:c", {"call_1": "1 kg"})
    progress, action = advance(observe(progress, action, ENDS, LIMITS, 12.0), LIMITS, 12.0)

    assert isinstance(action, Finish)
    assert (action.outcome.state, action.outcome.text) == (JobState.SUCCEEDED, "1 kg")
    assert action.outcome.steps == ({"type": "function", "name": "weigh", "arguments": "{}", "output": "1 kg"},)
    assert action.outcome.missing_steps is None
    assert (progress.runs, progress.cost.usage.total_tokens, progress.leftovers) == (1, 12, ())


def test_its_tools_have_time_until_the_deadline():
    progress = started()
    _, action = advance(progress, LIMITS, 900.0)
    assert action == CallTools(CALLS, 1000.0)


def test_a_cancelled_job_has_nothing_to_cancel_on_the_server():
    _, action = advance(started(), LIMITS, 11.0, cancelled=True)
    assert isinstance(action, Finish)
    assert action.outcome.state is JobState.CANCELLED


def test_a_call_may_take_as_long_as_a_run():
    assert time_limit(NEW, StartRun(1), LIMITS, 0.0) == 100.0
    assert time_limit(NEW, SubmitOutputs("run-1:c", {}), LIMITS, 950.0) == 50.0
    assert time_limit(NEW, Resolve(Intent.START_RUN), LIMITS, 0.0) == 1000.0


def test_a_lost_call_is_made_again_and_counted_as_possibly_paid_for():
    progress, action = advance(NEW, LIMITS, 0.0)
    progress = observe(intend(progress, action, 0.0), action, Unknown("reset"), LIMITS, 1.0)
    progress, action = advance(replace(progress, wait_until=0.0), LIMITS, 2.0)
    assert action == Resolve(Intent.START_RUN)
    progress, action = advance(observe(progress, action, Untraceable(), LIMITS, 2.0), LIMITS, 2.0)
    assert action == StartRun(1)
    assert progress.lost.runs == 1
