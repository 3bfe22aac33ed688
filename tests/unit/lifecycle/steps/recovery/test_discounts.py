"""The lanes of ordinary runs: how long a job waits in one, and what its runs are taken to cost."""

import math
from dataclasses import replace

import pytest
from tests.unit.lifecycle.story import START, TIMEOUT_S, play

from threadmill.job.progress import Cost
from threadmill.job.result import FailureKind, JobState, Usage
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill.settings.endpoints.run_limits import RunLimits
from threadmill_worker.lifecycle.actions import PollRun, StartRun, SubmitOutputs
from threadmill_worker.lifecycle.observations import LaneClosed, RunObservation, ToolCall
from threadmill_worker.lifecycle.progress import Features, Progress
from threadmill_worker.lifecycle.steps.recovery.discounts import limits_in_lane, spend

FLEX = Features(lane="flex")
FALLBACK = RunLimits(lane_fallback="full_price", unreachable_limit_s=100)
FULL = LaneClosed("the lane flex has no capacity now: 429 Resource Unavailable", passes=True)
REFUSED = LaneClosed("the server does not take the lane flex: 400 Invalid service_tier argument")
QUEUED = RunObservation("?", "queued")
TOKENS = Usage(prompt_tokens=1, completion_tokens=1, total_tokens=2)


def test_a_job_waits_for_capacity_until_there_is_some():
    story = play(
        {StartRun: [*[FULL] * 12, QUEUED], PollRun: [RunObservation("?", "completed", tier="flex")]}, features=FLEX
    )

    assert (story.outcome.state, story.progress.cost.full_price) == (JobState.SUCCEEDED, None)
    assert story.times(StartRun)[-1] > RunLimits().unreachable_limit_s


def test_a_job_that_finds_no_capacity_fails_at_its_deadline():
    story = play({StartRun: [FULL]}, features=FLEX)

    assert (story.kind, story.moments[-1]) == (FailureKind.OVERDUE, TIMEOUT_S)
    assert "no capacity" in story.outcome.failure.message
    assert len(story.times(StartRun)) < 30


def test_a_job_waits_as_long_as_the_server_asks():
    story = play({StartRun: [replace(FULL, retry_after_s=40), QUEUED]}, features=FLEX)

    first, second = story.times(StartRun)
    assert second - first == 40


def test_a_job_that_may_falls_back_once_it_has_waited():
    story = play({StartRun: [*[FULL] * 9, QUEUED]}, features=FLEX, limits=FALLBACK)

    assert story.progress.cost.fell_back
    assert story.progress.cost.full_price == FULL.reason
    assert FALLBACK.unreachable_limit_s < story.times(StartRun)[-1] < 2 * FALLBACK.unreachable_limit_s + 30


def test_a_job_falls_back_while_there_is_time_left_to_answer():
    patience = RunLimits(lane_fallback="full_price", unreachable_limit_s=10 * TIMEOUT_S)
    story = play({StartRun: [*[FULL] * 15, QUEUED]}, features=FLEX, limits=patience)

    assert story.outcome.state is JobState.SUCCEEDED
    assert TIMEOUT_S / 2 < story.times(StartRun)[-1] < TIMEOUT_S


def test_a_refused_lane_fails_the_job_at_once_with_what_to_do():
    story = play({StartRun: [REFUSED]}, features=FLEX)

    assert (story.kind, len(story.times(StartRun))) == (FailureKind.UNSUPPORTED, 1)
    assert 'lane_fallback = "full_price"' in story.outcome.failure.message


def test_a_refused_service_tier_fails_the_job_at_once_with_what_to_do():
    story = play({StartRun: [REFUSED]}, features=Features(lane="priority"))

    assert (story.kind, len(story.times(StartRun))) == (FailureKind.UNSUPPORTED, 1)
    assert "leave out `service_tier`, or set lane_fallback" in story.outcome.failure.message


def test_a_job_whose_lane_is_refused_may_fall_back_at_once():
    story = play({StartRun: [REFUSED, QUEUED]}, features=FLEX, limits=FALLBACK)

    assert (story.outcome.state, story.progress.cost.full_price) == (JobState.SUCCEEDED, REFUSED.reason)
    first, second = story.times(StartRun)
    assert first == second


def test_a_round_of_tools_that_finds_no_capacity_is_sent_again():
    asks = RunObservation("?", "requires_action", (ToolCall("call_1", "weigh", "{}"),))
    story = play({StartRun: [asks], SubmitOutputs: [FULL, FULL, QUEUED]}, features=FLEX)

    assert (story.outcome.state, story.progress.runs) == (JobState.SUCCEEDED, 1)
    assert len(story.times(SubmitOutputs)) == 3


@pytest.mark.parametrize(("lane", "pause_s"), [("flex", 30), ("within-2h", 60), ("within-8h", 240)])
def test_a_run_in_a_slow_lane_is_polled_rarely_and_never_stuck(lane, pause_s):
    limits = limits_in_lane(RunLimits(), lane)

    assert (limits.max_poll_interval_s, limits.queued_limit_s, limits.run_limit_s) == (pause_s, math.inf, math.inf)


@pytest.mark.parametrize("lane", [None, "batch"])
def test_other_jobs_have_the_policy_of_their_endpoint(lane):
    endpoint = Endpoint.model_validate({"kind": "responses"})
    assert limits_in_lane(endpoint, lane) is endpoint


def test_a_run_that_is_queued_for_an_hour_is_waited_for():
    story = play({StartRun: [QUEUED]}, features=FLEX, limits=limits_in_lane(RunLimits(), "flex"))
    assert story.progress.runs == 1


def progress(lane: str | None) -> Progress:
    return Progress(START + TIMEOUT_S, 1, Features(lane=lane))


def ended(tier: str | None = None, *, in_background: bool = True) -> RunObservation:
    return RunObservation("resp_1", "completed", tier=tier, in_background=in_background)


@pytest.mark.parametrize(
    ("requested", "run", "lane", "why"),
    [
        ("flex", ended("flex"), "flex", None),
        ("flex", ended("default"), None, "the server used its service tier default instead of the lane flex"),
        ("flex", ended(), None, "the server did not say that it used the lane flex"),
        ("within-2h", ended("default"), "within-2h", None),
        ("within-8h", ended(), "within-8h", None),
        (
            "within-8h",
            ended("priority"),
            "priority",
            "the server used its service tier priority instead of the lane within-8h",
        ),
        (
            "within-8h",
            ended("default", in_background=False),
            None,
            "the server did not work in the background, as the lane within-8h requires",
        ),
        ("batch", ended("default"), None, "the batch lane did not answer the job"),
        ("batch", replace(ended("default"), lane="batch"), "batch", None),
        (None, ended("default"), None, None),
        (None, ended("flex"), "flex", None),
        (None, replace(ended("default"), lane="batch"), "batch", None),
        ("priority", ended("priority"), "priority", None),
        ("priority", ended("fast"), "priority", None),
        (
            "priority",
            ended("default"),
            None,
            "the server used its service tier default instead of the service tier priority",
        ),
        ("priority", ended(), None, "the server did not say that it used the service tier priority"),
        (None, ended("priority"), "priority", None),  # the setting of its project on the server
    ],
)
def test_what_a_run_costs_is_what_the_server_says_it_used(requested, run, lane, why):
    after = spend(progress(requested), run, TOKENS)

    assert (after.cost.lane, after.cost.full_price, after.cost.usage) == (lane, why, TOKENS)


def test_a_job_that_fell_back_asks_for_no_lane():
    fallen = replace(progress("flex"), cost=Cost(fell_back=True, full_price="no capacity"))
    after = spend(fallen, ended("default"), TOKENS)

    assert (fallen.requested_lane, after.cost.lane, after.cost.full_price) == (None, None, "no capacity")


def test_after_runs_of_different_lanes_the_full_price_is_assumed():
    cheap = spend(progress("flex"), ended("flex"), TOKENS)
    mixed = spend(cheap, replace(ended("default"), id="resp_2"), TOKENS)
    again = spend(mixed, replace(ended("flex"), id="resp_3"), TOKENS)

    assert (cheap.cost.lane, mixed.cost.lane, again.cost.lane) == ("flex", None, None)


@pytest.mark.parametrize("tiers", [("priority", "default"), ("default", "priority"), ("flex", "priority")])
def test_after_a_run_at_the_highest_price_all_count_at_it(tiers):
    after = progress("priority")
    for number, tier in enumerate(tiers):
        after = spend(after, replace(ended(tier), id=f"resp_{number}"), TOKENS)

    assert (after.cost.lane, after.spent["lane"], after.spent["service_tier"]) == ("priority", None, "priority")


def test_a_run_that_took_nothing_says_nothing_of_the_price():
    assert spend(progress("flex"), ended("default"), Usage()) == progress("flex")
