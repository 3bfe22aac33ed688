"""The life of a job whose calls must wait for a limit of the server, told as stories."""

from dataclasses import replace

import pytest
from tests.unit.lifecycle.story import (
    BUSY,
    COMPLETED,
    LOST,
    QUEUED,
    RUNNING,
    START,
    TIMEOUT_S,
    Story,
    asks,
    failed,
    play,
)

from threadmill.job.result import FailureKind, JobState
from threadmill.settings.endpoints.run_limits import RunLimits
from threadmill_worker.lifecycle import actions as act
from threadmill_worker.lifecycle import observations as obs
from threadmill_worker.lifecycle.decide import advance
from threadmill_worker.lifecycle.observe import observe
from threadmill_worker.lifecycle.progress import Features, Progress
from threadmill_worker.lifecycle.steps.recovery.limits import stop_waiting

OVERLOADED = obs.NotSent("503 server_is_overloaded", FailureKind.SERVER_ERROR, overloaded=True)
MAY_HAVE_ACTED = obs.Unknown("503 overloaded", FailureKind.SERVER_ERROR, overloaded=True, retry_after_s=30.0)
RATE_LIMITED = failed("rate_limit_exceeded", "Rate limit reached. Please try again in 12.3s.")


def limited(*until_s: float) -> list[obs.Observation]:
    return [obs.Limited(START + each, "10 requests a minute") for each in until_s]


def why(story: Story) -> str:
    assert story.outcome.failure is not None
    return story.outcome.failure.message


@pytest.mark.parametrize("call", [act.StartRun, act.SubmitOutputs])
def test_a_call_waits_for_its_limit(call: type[act.Action]) -> None:
    story = play({act.PollRun: [asks("a"), COMPLETED], call: [*limited(100, 130), QUEUED]})
    first, *_, last = story.times(call)
    assert last == 130
    assert story.progress.limited_s == pytest.approx(130 - first)
    assert story.outcome.state is JobState.SUCCEEDED


def test_a_limited_start_spends_nothing() -> None:
    story = play({act.StartRun: [*limited(10), QUEUED]})
    assert (story.progress.runs, story.progress.reruns, story.progress.limited_runs) == (1, 0, 0)
    assert "Resolve" not in story.calls


def test_a_limited_call_is_no_usable_reply() -> None:
    story = play({act.StartRun: [BUSY, *limited(10)]}, overdue_at=act.StartRun)
    assert "the last call failed" in why(story)


def test_a_limited_poll_keeps_its_run() -> None:
    story = play({act.PollRun: [RUNNING, *limited(50), COMPLETED]})
    assert story.calls == "CreateThread StartRun PollRun PollRun PollRun ReadAnswer Delete"


def test_an_overdue_job_names_the_limit_that_it_waited_for() -> None:
    story = play({act.StartRun: limited(30, 2 * TIMEOUT_S)})
    assert story.kind is FailureKind.OVERDUE
    assert story.moments[-1] == TIMEOUT_S
    assert "it waited 3600 s for limits of the server; last: 10 requests a minute" in why(story)
    assert story.progress.limited_s == pytest.approx(TIMEOUT_S)


def test_a_cancelled_job_does_not_wait_for_its_limit() -> None:
    progress = Progress(START + TIMEOUT_S, 1, thread_id="thread", messages_sent=1)
    progress = observe(progress, act.StartRun(1), *limited(50), RunLimits(), START)
    progress, action = advance(progress, RunLimits(), START + 20, cancelled=True)
    assert isinstance(action, act.Finish)
    assert action.outcome.state is JobState.CANCELLED
    assert progress.limited_s == 20


def test_a_job_that_another_worker_takes_asks_at_once() -> None:
    progress = Progress(START + TIMEOUT_S, 1, thread_id="thread", messages_sent=1)
    progress = observe(progress, act.StartRun(1), *limited(50), RunLimits(), START)
    progress = stop_waiting(Progress.from_json(progress.to_json()), START + 20)
    assert advance(progress, RunLimits(), START + 20)[1] == act.StartRun(1)
    assert progress.limited_s == 20


def test_a_job_that_has_ended_leaves_limited_deletions_to_the_sweep() -> None:
    story = play({act.Delete: limited(500)})
    assert story.outcome.state is JobState.SUCCEEDED
    assert len(story.progress.leftovers) == 1
    assert story.moments[-1] < 20


@pytest.mark.parametrize("refusal", [BUSY, OVERLOADED, MAY_HAVE_ACTED, replace(BUSY, retry_after_s=60.0)])
@pytest.mark.parametrize("call", [act.CreateThread, act.StartRun, act.PollRun, act.SubmitOutputs])
def test_only_its_deadline_ends_a_job_that_the_server_refuses(
    call: type[act.Action], refusal: obs.NotSent | obs.Unknown
) -> None:
    patient = RunLimits(unreachable_limit_s=60, run_limit_s=2 * TIMEOUT_S, queued_limit_s=2 * TIMEOUT_S)
    features = Features(at_once=call is act.CreateThread)
    polls = [asks("a"), COMPLETED] if call is act.SubmitOutputs else [COMPLETED]
    story = play({act.PollRun: polls, call: [refusal]}, features=features, limits=patient)
    assert story.kind is FailureKind.OVERDUE
    assert refusal.reason in why(story)


def test_a_refused_start_asks_again_soon_because_its_pool_knows_when() -> None:
    first, *_, last = play({act.StartRun: [*[BUSY] * 10, QUEUED]}).times(act.StartRun)
    assert last - first == pytest.approx(0.5 + 1 + 2 + 4 + 6 * 5)
    polls = play({act.PollRun: [BUSY] * 10}, overdue_at=act.ReadAnswer).times(act.PollRun)
    assert polls[9] - polls[8] == 30


def test_a_refused_start_counts_as_waiting_for_a_limit() -> None:
    story = play({act.StartRun: [replace(BUSY, retry_after_s=7.0), QUEUED], act.PollRun: [BUSY, COMPLETED]})
    assert story.progress.limited_s == 7


def test_a_run_that_a_rate_limit_ended_is_no_rerun() -> None:
    story = play({act.PollRun: [*[RATE_LIMITED] * 5, COMPLETED]}, limits=RunLimits(max_reruns=0))
    assert story.outcome.state is JobState.SUCCEEDED
    assert (story.progress.runs, story.progress.reruns, story.progress.limited_runs) == (6, 0, 5)
    first, second, *_ = story.times(act.StartRun)
    assert second - first == pytest.approx(RunLimits().first_poll_s + 12.3)
    assert story.progress.limited_s == pytest.approx(12.3 + 12.3 + 20 + 40 + 60)


def test_only_its_deadline_ends_a_job_whose_runs_are_all_rate_limited() -> None:
    story = play({act.PollRun: [RATE_LIMITED]})
    assert story.kind is FailureKind.OVERDUE
    assert "last: a run failed with rate_limit_exceeded: Rate limit reached. Please" in why(story)


def test_a_request_that_alone_exceeds_the_limit_fails_at_once() -> None:
    message = "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 31538."
    story = play({act.PollRun: [failed("rate_limit_exceeded", message)]})
    assert (story.kind, story.progress.runs) == (FailureKind.REJECTED, 1)
    assert why(story) == f"{message}; shorten the input, lower max_completion_tokens, or have the limit raised"


def test_a_lost_call_after_a_limit_is_resolved() -> None:
    story = play({act.StartRun: [*limited(10), LOST], act.Resolve: [QUEUED]})
    assert story.calls.startswith("CreateThread StartRun StartRun Resolve PollRun")
