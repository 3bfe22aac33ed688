"""The life of a job, told as stories."""

import pytest
from tests.unit.lifecycle.story import (
    ANSWER,
    BUSY,
    CANCELLING,
    COMPLETED,
    EXPIRED,
    GONE,
    INCOMPLETE,
    ODD,
    QUEUED,
    REFUSED,
    RUNNING,
    STOPPED,
    TIMEOUT_S,
    asks,
    failed,
    play,
)

from threadmill.job.result import FailureKind, JobState
from threadmill.settings.endpoints.run_limits import RunLimits
from threadmill_worker.lifecycle import actions as act
from threadmill_worker.lifecycle import observations as obs
from threadmill_worker.lifecycle.decide import CANCELLED, time_limit
from threadmill_worker.lifecycle.progress import Features, Leftover, Outcome, Progress
from threadmill_worker.lifecycle.steps.recovery.call_errors import CLEANUP_TRIES

LIMITS = RunLimits()


def test_a_plain_job_has_one_run_and_leaves_nothing() -> None:
    story = play()
    assert story.calls == "CreateThread StartRun PollRun ReadAnswer Delete"
    assert story.outcome.state is JobState.SUCCEEDED
    assert story.outcome.text == "42"
    assert story.progress.leftovers == ()


def test_messages_past_the_thirty_second_are_added_one_by_one() -> None:
    story = play(messages=34)
    assert story.calls.startswith("CreateThread AddMessage AddMessage StartRun")
    assert [action.index for action in story.actions if isinstance(action, act.AddMessage)] == [32, 33]


@pytest.mark.parametrize(
    ("features", "calls"),
    [
        (Features(messages_in_run=True), "StartRun PollRun ReadAnswer"),
        (Features(messages_in_run=True, keep_thread=True), "CreateThread StartRun PollRun ReadAnswer"),
        (Features(messages_in_run=True, continues=True), "StartRun PollRun ReadAnswer"),
    ],
)
def test_messages_in_the_request_of_a_run_need_no_calls_before(features: Features, calls: str) -> None:
    assert play(messages=34, features=features).calls == calls


def test_a_rerun_with_its_messages_needs_no_new_thread() -> None:
    story = play({act.PollRun: [EXPIRED, COMPLETED]}, features=Features(messages_in_run=True))
    assert story.calls == "StartRun PollRun StartRun PollRun ReadAnswer"


def test_all_outputs_of_a_round_go_in_one_request() -> None:
    story = play({act.PollRun: [asks("a", "b"), RUNNING, asks("c"), COMPLETED]})
    assert story.calls.startswith(
        "CreateThread StartRun PollRun CallTools SubmitOutputs PollRun PollRun CallTools SubmitOutputs"
    )
    sent = [action.outputs for action in story.actions if isinstance(action, act.SubmitOutputs)]
    assert sent == [{"a": "a done", "b": "b done"}, {"c": "c done"}]


def test_a_run_with_endless_tool_rounds_is_cancelled() -> None:
    story = play({act.PollRun: [asks(f"call_{n}") for n in range(9)]}, limits=RunLimits(max_tool_rounds=3))
    assert story.kind is FailureKind.TOOL_FAILED
    assert len(story.times(act.SubmitOutputs)) == 3
    assert story.calls.endswith("CancelRun Delete")


def test_requires_action_without_calls_is_polled_until_they_appear() -> None:
    story = play({act.PollRun: [asks(), asks(), asks("a"), COMPLETED]})
    assert (
        story.calls == "CreateThread StartRun PollRun PollRun PollRun CallTools SubmitOutputs PollRun ReadAnswer Delete"
    )


@pytest.mark.parametrize(
    "ending", [EXPIRED, failed("server_error"), failed(None), failed("rate_limit_exceeded", "try again in 12.3s")]
)
def test_a_passing_failure_is_followed_by_another_run_on_the_same_thread(ending: obs.Observation) -> None:
    story = play({act.PollRun: [ending, COMPLETED]})
    assert story.calls == "CreateThread StartRun PollRun StartRun PollRun ReadAnswer Delete"
    assert story.outcome.state is JobState.SUCCEEDED
    assert story.progress.runs == 2


@pytest.mark.parametrize(
    ("ending", "kind"),
    [
        (EXPIRED, FailureKind.EXPIRED),
        (failed("server_error"), FailureKind.SERVER_ERROR),
        (failed("rate_limit_exceeded", "You exceeded your current quota"), FailureKind.QUOTA),
        (failed("invalid_prompt"), FailureKind.INVALID_PROMPT),
        (failed("content_filter"), FailureKind.REJECTED),
        (STOPPED, FailureKind.CANCELLED_REMOTELY),
    ],
)
def test_a_job_whose_runs_all_end_badly_fails_for_that_reason(ending: obs.Observation, kind: FailureKind) -> None:
    story = play({act.PollRun: [ending]})
    lasting = {FailureKind.QUOTA, FailureKind.INVALID_PROMPT, FailureKind.REJECTED, FailureKind.CANCELLED_REMOTELY}
    assert story.kind is kind
    assert story.progress.runs == (1 if kind in lasting else 1 + LIMITS.max_reruns)
    assert story.calls.endswith("PollRun Delete")


def test_reruns_back_off() -> None:
    first, second, third = play({act.PollRun: [EXPIRED]}).times(act.StartRun)
    looked = LIMITS.first_poll_s
    assert (second - first, third - second) == pytest.approx((looked + 1, looked + 2))


def test_an_incomplete_run_fails_with_its_partial_text() -> None:
    story = play({act.PollRun: [INCOMPLETE]})
    assert (story.kind, story.outcome.text) == (FailureKind.INCOMPLETE, "42")


def test_a_completed_run_without_a_message_is_not_a_success() -> None:
    assert play({act.ReadAnswer: [obs.AnswerRead(())]}).kind is FailureKind.EMPTY_ANSWER


@pytest.mark.parametrize(
    ("status", "limit_s"), [(QUEUED, LIMITS.queued_limit_s), (RUNNING, LIMITS.run_limit_s), (ODD, LIMITS.run_limit_s)]
)
def test_a_stuck_run_is_cancelled_and_repeated_on_a_new_thread(status: obs.Observation, limit_s: float) -> None:
    story = play({act.PollRun: [status]})
    assert story.kind is FailureKind.STUCK
    assert story.times(act.CancelRun)[0] == pytest.approx(limit_s)
    for kind in (act.CreateThread, act.StartRun, act.CancelRun, act.Delete):
        assert len(story.times(kind)) == 1 + LIMITS.max_reruns
    assert story.calls.endswith("CancelRun Delete Delete Delete")


def test_the_queue_limit_restarts_after_tool_outputs() -> None:
    story = play({act.PollRun: [RUNNING] * 44 + [asks("a"), QUEUED, QUEUED, COMPLETED]})
    assert story.times(act.CallTools)[0] > LIMITS.queued_limit_s
    assert story.outcome.state is JobState.SUCCEEDED
    assert story.progress.runs == 1


def test_a_stuck_run_that_completes_when_it_is_cancelled_is_read() -> None:
    story = play({act.PollRun: [RUNNING], act.CancelRun: [COMPLETED]})
    assert story.outcome.text == "42"


def test_a_run_that_keeps_cancelling_is_waited_for_and_then_left() -> None:
    story = play(
        {act.PollRun: [RUNNING] * 80 + [CANCELLING], act.CancelRun: [CANCELLING]}, limits=RunLimits(max_reruns=0)
    )
    (cancelled,), (left,) = story.times(act.CancelRun), story.times(act.Delete)
    assert story.kind is FailureKind.STUCK
    assert left - cancelled == pytest.approx(LIMITS.cancel_limit_s)


def test_a_run_that_cannot_be_cancelled_is_left_at_once() -> None:
    story = play({act.PollRun: [QUEUED], act.CancelRun: [QUEUED]}, limits=RunLimits(max_reruns=1))
    assert story.kind is FailureKind.STUCK
    assert story.calls.count("CancelRun") == 2
    assert story.calls.endswith("CancelRun Delete Delete")


#: The looks of a job that comes by all of its phases.
LOOKS: dict[type[act.Action], list[obs.Observation]] = {act.PollRun: [RUNNING, asks("a"), COMPLETED]}


@pytest.mark.parametrize(
    ("phase", "settled", "tidying"),
    [
        (act.CreateThread, [obs.Untraceable()], "CreateThread Resolve"),
        (act.AddMessage, [obs.NothingFound()], "AddMessage Resolve Delete"),
        (act.StartRun, [obs.NothingFound()], "StartRun Resolve Delete"),
        (act.StartRun, [GONE], "StartRun Resolve Delete"),
        (act.StartRun, [QUEUED], "StartRun Resolve CancelRun Delete"),
        (act.Wait, [], "StartRun CancelRun Delete"),
        (act.PollRun, [], "PollRun CancelRun Delete"),
        (act.CallTools, [], "CallTools CancelRun Delete"),
        (act.SubmitOutputs, [RUNNING], "SubmitOutputs Resolve CancelRun Delete"),
        (act.ReadAnswer, [], "ReadAnswer Delete"),
    ],
)
def test_the_owner_may_cancel_in_every_phase(
    phase: type[act.Action], settled: list[obs.Observation], tidying: str
) -> None:
    story = play({**LOOKS, act.Resolve: settled}, messages=33, cancel_at=phase)
    assert story.outcome == CANCELLED
    assert story.calls.endswith(tidying)
    assert story.progress.lost.threads == (phase is act.CreateThread)


@pytest.mark.parametrize("news", [failed("invalid_prompt"), COMPLETED, EXPIRED, REFUSED, GONE])
def test_what_shows_while_tidying_does_not_change_the_outcome(news: obs.Observation) -> None:
    story = play({act.CancelRun: [news]}, cancel_at=act.PollRun)
    assert story.outcome == CANCELLED
    assert story.calls.endswith("CancelRun ReadAnswer Delete" if news is COMPLETED else "CancelRun Delete")


@pytest.mark.parametrize(
    ("phase", "tidying"),
    [
        (act.CreateThread, "CreateThread Delete"),
        (act.AddMessage, "AddMessage Delete"),
        (act.StartRun, "StartRun CancelRun Delete"),
        (act.Wait, "StartRun CancelRun Delete"),
        (act.PollRun, "PollRun CancelRun Delete"),
        (act.CallTools, "CallTools CancelRun Delete"),
        (act.SubmitOutputs, "SubmitOutputs CancelRun Delete"),
    ],
)
def test_the_deadline_may_pass_in_every_phase_and_the_run_is_stopped(phase: type[act.Action], tidying: str) -> None:
    story = play(LOOKS, messages=33, overdue_at=phase)
    assert story.kind is FailureKind.OVERDUE
    assert story.calls.endswith(tidying)


def test_the_thread_of_an_overdue_run_is_deleted_after_it_stopped() -> None:
    story = play({act.PollRun: [CANCELLING, STOPPED], act.CancelRun: [CANCELLING]}, overdue_at=act.Wait)
    assert story.calls.endswith("CancelRun PollRun PollRun Delete")


def test_reading_an_answer_may_exceed_the_deadline_for_a_limited_time() -> None:
    assert play({act.ReadAnswer: [BUSY, ANSWER]}, overdue_at=act.ReadAnswer).outcome.state is JobState.SUCCEEDED
    story = play({act.ReadAnswer: [BUSY]}, overdue_at=act.ReadAnswer)
    assert story.kind is FailureKind.OVERDUE
    assert len(story.times(act.ReadAnswer)) == CLEANUP_TRIES + 1, "the last for the files it tells of"


def test_waits_end_at_the_deadline() -> None:
    story = play({act.StartRun: [obs.NotSent("slow down", retry_after_s=5000)]})
    assert story.kind is FailureKind.OVERDUE
    assert story.moments[-1] == TIMEOUT_S


def test_calls_end_at_the_deadline_except_those_that_create() -> None:
    progress = Progress(deadline_at=100, messages=1)
    assert time_limit(progress, act.PollRun("run"), LIMITS, now=40) == 60
    assert time_limit(progress, act.PollRun("run"), LIMITS, now=99) == 1
    assert time_limit(progress, act.StartRun(1), LIMITS, now=99) == act.LANDING_S
    assert time_limit(progress, act.StartRun(1), LIMITS, now=40) == 60


def test_a_call_of_a_finished_job_has_the_time_of_one_reply() -> None:
    late, over = Progress(deadline_at=100, messages=1), Progress(9e9, 1, outcome=Outcome(JobState.SUCCEEDED))
    assert time_limit(late, act.ReadAnswer("run"), LIMITS, now=101) == LIMITS.request_timeout_s
    assert time_limit(over, act.Delete(Leftover("thread", "t")), LIMITS, now=0) == LIMITS.request_timeout_s
