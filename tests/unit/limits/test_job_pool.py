"""What the calls of a job take from its pool, and what is told of their replies."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.lifecycle.story import BUSY, QUEUED

from threadmill.job.progress import Cost
from threadmill.job.prompt import PromptJob
from threadmill.job.result import JobState, Usage
from threadmill.settings.endpoints.limits import Limits, PoolLimits
from threadmill_worker.drivers.requests.job_spec import JobSpec
from threadmill_worker.lifecycle import actions as act
from threadmill_worker.lifecycle.observations import Limited, RunObservation
from threadmill_worker.lifecycle.progress import CurrentRun, Leftover, Outcome, PendingRequest, Progress
from threadmill_worker.limits.job_pool import JobPool
from threadmill_worker.store.jobs import LeftPool, Postponed

PROGRESS = Progress(2e9, 1)
RUN = CurrentRun(RunObservation("run_1", "in_progress"), started_at=1.0, active_since=1.0)
SILENT: Any = SimpleNamespace(rate_info=None)
CALLS: list[act.RemoteAction] = [act.AddMessage(0), act.PollRun("run_1"), act.Delete(Leftover("thread", "t"))]


def pool(set_limits: PoolLimits = PoolLimits(), **limits: Any) -> JobPool:  # noqa: B008
    return JobPool("openai/gpt-4o", JobSpec("job", PromptJob(prompt="x" * 400), "openai"), Limits(**limits), set_limits)


@pytest.mark.parametrize(
    "action", [act.StartRun(1), act.CreateThread(1, run=1), act.SubmitOutputs("run_1", {"call": "4"})]
)
def test_a_call_that_makes_a_model_work_takes_from_the_pool(action: act.Action) -> None:
    start = pool().start(action, PROGRESS)
    assert start is not None
    assert start["pool"] == "openai/gpt-4o"
    assert start["tokens"] >= 600


@pytest.mark.parametrize("action", [*CALLS, act.CreateThread(1), act.Wait(5.0), None])
def test_other_calls_take_nothing(action: act.Action | None) -> None:
    assert pool().start(action, PROGRESS) is None


@pytest.mark.parametrize("action", CALLS)
def test_other_calls_take_no_tokens_where_the_server_counts_all_requests(action: act.Action) -> None:
    start = pool(all_requests=True).start(action, PROGRESS)
    assert start == {"pool": "openai/gpt-4o", "tokens": 0}


def test_the_limits_that_are_set_travel_with_each_start() -> None:
    start = pool(PoolLimits(requests_per_minute=60, concurrent=5), learn=False).start(act.StartRun(1), PROGRESS)
    assert start == {
        "pool": "openai/gpt-4o", "tokens": 600, "requests_per_minute": 60.0, "concurrent": 5, "learn": False,
    }  # fmt: skip


def test_a_call_asks_again_with_its_place_in_the_row() -> None:
    ours = pool()
    reply = Postponed(7.0, "requests_per_minute", "3 7.0")
    assert ours.postponed(reply) == Limited(7.0, "requests_per_minute", in_row=True)
    assert (ours.start(act.StartRun(1), PROGRESS) or {})["ticket"] == "3 7.0"
    ours.started()
    assert "ticket" not in (ours.start(act.StartRun(2), PROGRESS) or {})


def test_a_pool_that_its_server_has_shut_is_no_row() -> None:
    assert not pool().postponed(Postponed(60.0, "the server: Rate limit reached.", "", is_shut=True)).in_row


def test_news_are_told_once() -> None:
    ours = pool()
    ours.replied(act.StartRun(1), QUEUED, 5.0, SILENT)
    assert ours.take_news() == [{"pool": "openai/gpt-4o", "kind": "accepted", "sent_at": 5.0}]
    assert ours.take_news() == []


def test_a_call_that_is_not_counted_is_news_only_if_the_server_names_a_time() -> None:
    ours = pool()
    ours.replied(act.PollRun("run_1"), QUEUED, 5.0, SILENT)
    ours.replied(act.PollRun("run_1"), replace(BUSY, retry_after_s=None), 6.0, SILENT)
    assert not ours.was_refused
    ours.replied(act.PollRun("run_1"), replace(BUSY, retry_after_s=2.0), 6.0, SILENT)
    assert ours.was_refused
    assert [(news["kind"], news["delay_s"]) for news in ours.take_news()] == [("wait", 2.0)]
    assert not ours.was_refused


def test_a_job_that_ends_leaves_its_pool_with_its_usage_and_its_last_news() -> None:
    ours = pool()
    ours.replied(act.StartRun(1), QUEUED, 5.0, SILENT)
    ended = replace(PROGRESS, runs=1, cost=Cost(usage=Usage(total_tokens=70)), outcome=Outcome(JobState.SUCCEEDED))
    left = ours.leave(replace(ended, run=RUN))
    assert (left.pool, left.tokens_used) == ("openai/gpt-4o", 70)
    assert [news["kind"] for news in left.news] == ["accepted"]


@pytest.mark.parametrize("has", [{"run": RUN}, {"pending": PendingRequest(1.0)}])
def test_a_job_that_is_handed_back_with_a_run_stays_in_its_pool(has: dict[str, Any]) -> None:
    assert pool().leave(replace(PROGRESS, **has)) == LeftPool(news=[])


def test_a_job_that_is_handed_back_without_a_run_leaves_its_pool() -> None:
    assert pool().leave(PROGRESS) == LeftPool("openai/gpt-4o", 0, [])
