"""The life of a job whose calls get no usable reply, told as stories."""

from datetime import UTC, datetime

import pytest
from tests.unit.lifecycle.story import (
    ANSWER,
    BUSY,
    COMPLETED,
    GONE,
    LOST,
    QUEUED,
    REFUSED,
    RUNNING,
    START,
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
from threadmill_worker.lifecycle.progress import Features
from threadmill_worker.lifecycle.steps.recovery.call_errors import CLEANUP_TRIES, GONE_POLLS

LIMITS = RunLimits()


def test_a_429_is_waited_out_as_long_as_the_server_says() -> None:
    story = play({act.StartRun: [obs.NotSent("slow down", retry_after_s=7.0), BUSY, QUEUED]})
    assert story.calls.startswith("CreateThread StartRun StartRun StartRun PollRun")
    assert story.times(act.StartRun) == pytest.approx([0, 7, 8])
    assert story.progress.runs == 1


def test_the_search_for_a_lost_reply_waits_as_long_as_the_server_says() -> None:
    busy = obs.Unknown("503 busy", FailureKind.SERVER_ERROR, overloaded=True, retry_after_s=7.0)
    story = play({act.StartRun: [busy, QUEUED], act.Resolve: [obs.NothingFound()]})
    assert story.calls.startswith("CreateThread StartRun Resolve StartRun PollRun")
    assert story.times(act.Resolve) == pytest.approx([7])


@pytest.mark.parametrize(
    ("call", "found"),
    [(act.AddMessage, obs.MessageAdded()), (act.StartRun, QUEUED), (act.SubmitOutputs, RUNNING)],
)
def test_a_call_without_a_reply_is_not_repeated_if_it_took_effect(
    call: type[act.Action], found: obs.Observation
) -> None:
    story = play({act.PollRun: [asks("a"), COMPLETED], call: [LOST], act.Resolve: [found]}, messages=33)
    assert f"{call.__name__} Resolve" in story.calls
    assert len(story.times(call)) == 1
    assert (story.outcome.state, story.progress.runs) == (JobState.SUCCEEDED, 1)


@pytest.mark.parametrize(
    ("call", "found", "landed"),
    [
        (act.CreateThread, obs.Untraceable(), obs.ThreadCreated("thread")),
        (act.AddMessage, obs.NothingFound(), obs.MessageAdded()),
        (act.StartRun, obs.NothingFound(), QUEUED),
        (act.SubmitOutputs, asks("a"), QUEUED),
    ],
)
def test_a_call_without_a_reply_is_repeated_if_it_had_no_effect(
    call: type[act.Action], found: obs.Observation, landed: obs.Observation
) -> None:
    story = play({act.PollRun: [asks("a"), COMPLETED], call: [LOST, landed], act.Resolve: [found]}, messages=33)
    assert f"{call.__name__} Resolve {call.__name__}" in story.calls
    assert (story.outcome.state, story.progress.runs) == (JobState.SUCCEEDED, 1)
    assert story.progress.lost.threads == (call is act.CreateThread)
    assert len(story.times(act.CallTools)) == 1


def test_an_overdue_job_names_the_calls_that_failed_last() -> None:
    busy = obs.NotSent("429 Rate limit reached", FailureKind.RATE_LIMITED)
    story = play({act.StartRun: [busy]}, limits=RunLimits(unreachable_limit_s=2 * TIMEOUT_S))
    assert story.kind is FailureKind.OVERDUE
    calls = len(story.times(act.StartRun))
    since = f"{datetime.fromtimestamp(START, UTC):%Y-%m-%d %H:%M:%S} UTC"
    assert story.outcome.failure is not None
    assert f"the last {calls} calls failed, since {since}: 429 Rate limit reached" in story.outcome.failure.message


def test_an_overdue_job_says_how_long_its_status_lasted() -> None:
    limits_in_lane = RunLimits(queued_limit_s=2 * TIMEOUT_S, run_limit_s=2 * TIMEOUT_S)
    story = play({act.PollRun: [QUEUED]}, limits=limits_in_lane)
    assert story.outcome.failure is not None
    assert f"its run was queued, {TIMEOUT_S:.0f} s after it was started" in story.outcome.failure.message


def test_an_overdue_job_says_why_it_was_started_over() -> None:
    limits_in_lane = RunLimits(queued_limit_s=2 * TIMEOUT_S, run_limit_s=2 * TIMEOUT_S)
    story = play({act.PollRun: [failed("server_error", "no GPU left"), QUEUED]}, limits=limits_in_lane)
    assert story.kind is FailureKind.OVERDUE
    assert story.outcome.failure is not None
    assert "rerun 1 times; last reason: " in story.outcome.failure.message
    assert "no GPU left" in story.outcome.failure.message


@pytest.mark.parametrize("call", [act.CreateThread, act.StartRun, act.PollRun, act.ReadAnswer])
def test_a_job_ends_after_too_long_without_a_usable_reply(call: type[act.Action]) -> None:
    story = play({call: [LOST], act.CancelRun: [LOST], act.Resolve: [LOST], act.Delete: [LOST]})
    assert story.kind is FailureKind.UNREACHABLE
    assert story.moments[-1] < LIMITS.unreachable_limit_s + 300
    assert len(story.progress.leftovers) + story.progress.lost.threads == 1


def test_a_server_that_refuses_calls_is_reachable() -> None:
    patient = RunLimits(unreachable_limit_s=60)
    story = play({act.StartRun: [*[BUSY] * 20, LOST, QUEUED], act.Resolve: [obs.NothingFound()]}, limits=patient)
    assert story.times(act.StartRun)[-1] > patient.unreachable_limit_s
    assert story.outcome.state is JobState.SUCCEEDED


def test_a_run_that_some_polls_do_not_find_is_not_started_again() -> None:
    story = play({act.PollRun: [RUNNING, *[GONE] * (GONE_POLLS - 1), COMPLETED]})
    assert story.calls == "CreateThread StartRun PollRun PollRun PollRun PollRun ReadAnswer Delete"
    assert story.progress.runs == 1


@pytest.mark.parametrize("call", [act.AddMessage, act.StartRun, act.PollRun, act.SubmitOutputs, act.ReadAnswer])
def test_a_thread_that_vanishes_is_replaced_and_the_job_run_again(call: type[act.Action]) -> None:
    again: dict[type[act.Action], obs.Observation] = {
        act.AddMessage: obs.MessageAdded(),
        act.StartRun: QUEUED,
        act.PollRun: COMPLETED,
        act.SubmitOutputs: QUEUED,
        act.ReadAnswer: ANSWER,
    }
    gone = [GONE] * (GONE_POLLS if call is act.PollRun else 1)
    story = play({act.PollRun: [asks("a"), COMPLETED], call: [*gone, again[call]]}, messages=33)
    assert f"{call.__name__} CreateThread AddMessage StartRun" in story.calls
    assert story.outcome.state is JobState.SUCCEEDED
    assert story.calls.endswith("Delete Delete")


def test_a_refused_call_ends_the_job_and_tidies_up() -> None:
    story = play({act.StartRun: [REFUSED]})
    assert story.kind is FailureKind.UNAUTHORISED
    assert story.calls == "CreateThread StartRun Delete"


def test_a_refused_search_for_a_possible_run_is_repeated_to_stop_it() -> None:
    story = play({act.StartRun: [LOST], act.Resolve: [REFUSED, RUNNING]})
    assert story.kind is FailureKind.UNAUTHORISED
    assert story.calls == "CreateThread StartRun Resolve Resolve CancelRun Delete"


def test_a_delete_that_keeps_failing_ends_in_a_leftover() -> None:
    story = play({act.Delete: [LOST]})
    assert story.outcome.state is JobState.SUCCEEDED
    assert [leftover.tries for leftover in story.progress.leftovers] == [CLEANUP_TRIES]
    first, *others = story.times(act.Delete)
    assert [moment - first for moment in others] == pytest.approx([0.5, 1.5])


@pytest.mark.parametrize(
    ("second", "left"),
    [([obs.Deleted()], ["thread_1"]), ([LOST, LOST, obs.Deleted()], ["thread_1"]), ([LOST], ["thread_1", "thread_2"])],
)
def test_a_thread_that_cannot_be_deleted_does_not_hide_the_next_one(
    second: list[obs.Observation], left: list[str]
) -> None:
    created = [obs.ThreadCreated("thread_1"), obs.ThreadCreated("thread_2")]
    story = play(
        {
            act.CreateThread: created,
            act.PollRun: [*[GONE] * GONE_POLLS, COMPLETED],
            act.Delete: [LOST] * CLEANUP_TRIES + second,
        }
    )
    assert [(leftover.id, leftover.tries) for leftover in story.progress.leftovers] == [
        (id, CLEANUP_TRIES) for id in left
    ]
    assert len(set(story.times(act.Delete))) == len(story.times(act.Delete)), "each after a wait"


UNUSABLE = obs.Unusable("the reply has too many bytes")


def test_an_unreadable_reply_fails_the_job_and_its_run_is_stopped() -> None:
    story = play({act.StartRun: [UNUSABLE], act.Resolve: [QUEUED], act.CancelRun: [STOPPED]})
    assert story.calls.startswith("CreateThread StartRun Resolve CancelRun Delete")
    assert story.outcome.failure.kind is FailureKind.SERVER_ERROR
    assert len(story.times(act.StartRun)) == 1


def test_steps_that_cannot_be_read_do_not_cost_the_answer() -> None:
    story = play({act.ReadSteps: [UNUSABLE]}, features=Features(steps=True))
    assert story.outcome.state is JobState.SUCCEEDED
