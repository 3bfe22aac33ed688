"""A response whose server ignored what it was to continue from is requested once more, or the job fails."""

from dataclasses import replace

import pytest
from tests.unit.lifecycle.story import next_action

from threadmill.job.result import FailureKind, JobState
from threadmill.settings.endpoints.run_limits import RunLimits
from threadmill.store.records.remote import KeptThread
from threadmill_worker.lifecycle import actions as act
from threadmill_worker.lifecycle import observations as obs
from threadmill_worker.lifecycle.decide import advance
from threadmill_worker.lifecycle.observe import observe
from threadmill_worker.lifecycle.progress import Features, Progress

LIMITS = RunLimits(max_tool_rounds=1)
NOW = 1_800_000_000.0
CALL = obs.ToolCall("call_1", "weigh", "{}")
ANSWER = obs.AnswerRead(({"type": "text", "text": {"value": "42", "annotations": []}},))

JOB = Progress(deadline_at=NOW + 3600, messages=1, thread_id="", messages_sent=1)
ENDED = obs.RunObservation("resp_2", "completed", answer=ANSWER, kind="response", continues=True)


def see(progress: Progress, action: act.Action, view: obs.Observation) -> Progress:
    return advance(observe(progress, action, view, LIMITS, NOW), LIMITS, NOW)[0]


def with_outputs() -> Progress:
    asks = obs.RunObservation("resp_1", "requires_action", (CALL,), kind="response", items=({"type": "function_call"},))
    return see(see(JOB, act.StartRun(1), asks), act.PollRun("resp_1"), obs.OutputReady("call_1", "7"))


def test_an_answer_with_its_context_is_the_answer() -> None:
    named = see(JOB, act.StartRun(1), replace(ENDED, names_previous=True))
    assert named.outcome is not None
    assert named.outcome.text == "42"


def test_a_run_without_its_context_is_started_again() -> None:
    dropped = see(JOB, act.StartRun(1), ENDED)
    assert (dropped.outcome, dropped.answer, dropped.without_context) == (None, None, ("resp_2",))
    assert next_action(dropped, LIMITS, NOW) == act.StartRun(2)
    assert [each.id for each in dropped.leftovers] == ["resp_2"], "it is deleted with the job"
    assert dropped.reruns == 0


@pytest.mark.parametrize("in_background", [False, True])
def test_a_round_without_its_context_is_sent_again_with_the_same_outputs(in_background: bool) -> None:
    place = with_outputs()
    submit = act.SubmitOutputs("resp_1", {"call_1": "7"})
    if in_background:
        place = see(place, submit, obs.RunObservation("resp_2", "queued", kind="response", continues=True))
        dropped = see(place, act.PollRun("resp_2"), replace(ENDED, continues=False))
    else:
        dropped = see(place, submit, ENDED)

    assert next_action(dropped, LIMITS, NOW) == submit, "and no tool runs again"
    assert dropped.run is not None
    assert dropped.run.rounds == 0
    final = see(dropped, submit, replace(ENDED, id="resp_3", continues=False))
    assert final.outcome is not None
    assert (final.outcome.state, final.run and final.run.rounds, final.runs) == (JobState.SUCCEEDED, 1, 1)


def test_a_job_whose_context_is_not_known_here_fails() -> None:
    failed = see(replace(JOB, features=Features(continues=True, has_transcript=False)), act.StartRun(1), ENDED)
    assert failed.outcome is not None
    assert failed.outcome.failure is not None
    assert failed.outcome.failure.kind is FailureKind.UNSUPPORTED


def test_no_server_can_have_all_sent_more_than_once() -> None:
    failed = see(see(JOB, act.StartRun(1), ENDED), act.StartRun(2), replace(ENDED, id="resp_3"))
    assert failed.outcome is not None
    assert failed.outcome.state is JobState.FAILED


@pytest.mark.parametrize(
    ("kind", "id", "deleted"),
    [
        ("chain", "litellm_poll_1", "response"),
        ("conversation", "resp_like", "thread"),
        ("thread", "thread_1", "thread"),
        (None, "resp_1", "response"),
        (None, "conv_1", "thread"),
    ],
)
def test_what_a_kept_thread_is_is_stored_with_it(kind: str | None, id: str, deleted: str) -> None:
    moment = "2026-11-28T12:00:00Z"
    kept = KeptThread.model_validate(
        {"endpoint": "e", "id": id, "kind": kind, "job_id": "j", "created_at": moment, "used_at": moment}
    )
    assert [(each.kind, each.id) for each in kept.leftovers] == [(deleted, id)]
