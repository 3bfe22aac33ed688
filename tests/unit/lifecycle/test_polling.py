"""Plans for polling: when a run is polled once it is known how long such runs take."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.lifecycle.story import RUNNING, START, asks

from threadmill.settings.endpoints.run_limits import RunLimits
from threadmill_worker.lifecycle.observations import RunObservation
from threadmill_worker.lifecycle.polling import (
    ENOUGH,
    LATE_SHARE,
    NO_PLAN,
    OVERDUE_S,
    SAFETY_NET_S,
    SHORTEST_S,
    PollPlan,
    duration_s,
    growing_delay_s,
    poll_delay_s,
)
from threadmill_worker.lifecycle.progress import CurrentRun

LIMITS = RunLimits()
RUN = CurrentRun(RUNNING, started_at=START, active_since=START)
ENDED = replace(RUNNING, status="completed")

#: Between the shortest and the longest run that is remembered.
DURATIONS = st.lists(st.floats(0.001, 86_400), max_size=64)


def polls(plan: PollPlan, run_s: float) -> list[float]:
    """The ages at which a run of this duration is polled."""
    ages = [0.0]
    while ages[-1] < run_s:
        ages.append(ages[-1] + plan.delay_s(ages[-1], LIMITS))
    return ages[1:]


@given(DURATIONS, st.floats(0, 3600))
def test_the_next_poll_comes_later_and_within_the_longest_interval(durations: list[float], age_s: float) -> None:
    assert 0 < PollPlan.of(durations).delay_s(age_s, LIMITS) <= LIMITS.max_poll_interval_s


@given(DURATIONS)
def test_the_ages_of_a_plan_ascend(durations: list[float]) -> None:
    ages = PollPlan.of(durations).ages_s
    assert list(ages) == sorted(set(ages))
    assert not ages or ages[-1] == max(durations)


@given(st.floats(0.2, 120))
def test_runs_that_take_alike_are_polled_just_after_their_end(run_s: float) -> None:
    ages = polls(PollPlan.of([run_s] * 20), run_s)
    assert ages[-1] - run_s <= max(SHORTEST_S, LATE_SHARE * run_s)
    assert len(ages) <= 3 + run_s / LIMITS.max_poll_interval_s


@given(st.lists(st.floats(0.001, 600), max_size=ENOUGH - 1), st.floats(0, 600))
def test_a_few_runs_change_nothing(durations: list[float], age_s: float) -> None:
    assert PollPlan.of(durations) == NO_PLAN
    assert NO_PLAN.delay_s(age_s, LIMITS) == growing_delay_s(age_s, LIMITS)


def test_between_short_and_long_runs_there_is_only_the_longest_interval() -> None:
    plan = PollPlan.of([2.0] * 10 + [60.0] * 10)
    ages = polls(plan, 60.0)
    assert ages[0] == pytest.approx(2.0, abs=0.1)
    assert ages[-1] == pytest.approx(60.0, abs=0.1)
    assert len(ages) == 2 + 58 // LIMITS.max_poll_interval_s


def test_a_run_that_takes_longer_than_all_before_is_polled_ever_less_often() -> None:
    ages = polls(PollPlan.of([5.0] * 20), 12.0)
    assert len(ages) <= 9
    assert ages[-1] - ages[-2] == pytest.approx(growing_delay_s(ages[-2], LIMITS))
    assert ages[1] - ages[0] == pytest.approx(max(SHORTEST_S, LATE_SHARE * ages[0]))


def test_runs_of_various_durations_are_polled_where_most_end() -> None:
    plan = PollPlan.of([4.0, 4.5, 4.8, 4.9, 5.0, 5.1, 5.2, 5.5, 6.0])
    assert len(polls(plan, 5.0)) <= 4
    assert polls(plan, 5.0)[-1] - 5.0 <= 0.3


def test_first_poll_s_below_the_shortest_delay_shortens_it() -> None:
    assert PollPlan.of([0.03] * 20).delay_s(0.0, RunLimits(first_poll_s=0.02)) == pytest.approx(0.03)


def test_the_servers_hint_comes_before_the_plan() -> None:
    plan = PollPlan.of([5.0] * 20)
    assert poll_delay_s(RUN, LIMITS, plan, START) == 5.0
    assert poll_delay_s(replace(RUN, seen=replace(RUNNING, poll_after_s=2.0)), LIMITS, plan, START) == 2.0


def test_a_cancelled_run_is_polled_without_the_plan() -> None:
    cancelled = replace(RUN, cancel_requested_at=START + 3)
    assert poll_delay_s(cancelled, LIMITS, PollPlan.of([5.0] * 20), START + 3) == LIMITS.first_poll_s


@pytest.mark.parametrize(
    ("before_s", "now_s", "took_s"),
    [(4.0, 5.0, 4.5), (2.0, 10.0, 7.5), (0.0, 1.0, 0.75)],
    ids=["between two polls", "in the second half at the earliest", "before the first poll"],
)
def test_a_run_ended_between_two_polls(before_s: float, now_s: float, took_s: float) -> None:
    assert duration_s(RUN, START + before_s, ENDED, START + now_s) == took_s


@pytest.mark.parametrize(
    ("before_s", "now_s", "told_s", "took_s"),
    [
        (0.0, 1.1, 0, 0.5),
        (0.0, 24.0, 20, 20.0),
        (19.5, 24.0, 20, 20.25),
        (4.0, 5.0, 60, 4.5),
        (4.0, 5.0, -3, 4.5),
    ],
    ids=["at once", "a second more or less", "after the last poll", "a wrong clock", "a clock that was set back"],
)
def test_the_server_says_how_long_a_run_took(before_s: float, now_s: float, told_s: float, took_s: float) -> None:
    seen = replace(ENDED, took_s=told_s)
    assert duration_s(RUN, START + before_s, seen, START + now_s) == pytest.approx(took_s)


def test_what_the_server_says_does_not_count_after_tool_outputs() -> None:
    run = replace(RUN, active_since=START + 50)
    assert duration_s(run, START + 54, replace(ENDED, took_s=55), START + 56) == 5.0


def test_a_run_that_calls_tools_has_a_duration_too() -> None:
    assert duration_s(RUN, START + 1, asks("a"), START + 2) == 1.5


@pytest.mark.parametrize(
    ("before", "seen"),
    [
        (RUN, RUNNING),
        (RUN, RunObservation("run_1", "failed")),
        (RUN, RunObservation("run_1", "expired")),
        (replace(RUN, seen=asks("a")), ENDED),
        (replace(RUN, seen=ENDED), ENDED),
        (replace(RUN, cancel_requested_at=START), ENDED),
        (replace(RUN, seen=replace(RUNNING, poll_after_s=1.0)), ENDED),
    ],
    ids=["active", "failed", "expired", "waited for tools", "had ended", "cancelled", "polled as the server says"],
)
def test_only_the_work_of_the_server_has_a_duration(before: CurrentRun, seen: RunObservation) -> None:
    assert duration_s(before, START + 1, seen, START + 2) is None


def with_webhooks(durations: list[float]) -> PollPlan:
    return replace(PollPlan.of(durations), webhooks=True)


@given(DURATIONS, st.floats(0, 3600))
def test_webhooks_leave_few_polls(durations: list[float], age_s: float) -> None:
    assert SHORTEST_S <= with_webhooks(durations).delay_s(age_s, LIMITS) <= SAFETY_NET_S


def test_the_safety_net_polls_soon_after_the_usual_end_and_then_rarely() -> None:
    assert polls(with_webhooks([8.0] * ENOUGH), 80) == [8 + OVERDUE_S, 13 + SAFETY_NET_S, 43 + SAFETY_NET_S, 103]
    assert polls(with_webhooks([]), 80) == [30, 60, 90]


def test_the_safety_net_is_no_finer_than_the_longest_interval() -> None:
    limits = LIMITS.model_copy(update={"max_poll_interval_s": 120.0})
    assert with_webhooks([]).delay_s(0, limits) == 120


def test_with_webhooks_the_hints_of_a_server_are_ignored() -> None:
    run = replace(RUN, seen=replace(RUNNING, poll_after_s=1.0))
    assert poll_delay_s(run, LIMITS, with_webhooks([]), START) == SAFETY_NET_S


def test_a_run_that_is_being_cancelled_is_polled_as_without_webhooks() -> None:
    run = replace(RUN, cancel_requested_at=START)
    assert poll_delay_s(run, LIMITS, with_webhooks([]), START) == growing_delay_s(0, LIMITS)


def test_a_run_that_has_just_ended_took_exactly_so_long() -> None:
    assert duration_s(RUN, START, ENDED, START + 7, at_once=True) == 7
    assert duration_s(RUN, START, replace(RUNNING, status="in_progress"), START + 7, at_once=True) is None
