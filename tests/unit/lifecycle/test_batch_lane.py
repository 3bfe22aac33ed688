"""What happens to jobs of the batch lane that got no answer, decided."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from threadmill.job.result import Failure, FailureKind
from threadmill.store.records.batch import RemoteBatch
from threadmill_worker.lifecycle.batch_lane import failed, in_turn, next_batches, verdict
from threadmill_worker.lifecycle.batch_observations import BatchObservation
from threadmill_worker.lifecycle.progress import Progress

NOW = datetime(2026, 11, 28, tzinfo=UTC)


def batch(name: str, lane: str = "openai/m", *, age_s: float = 0, **fields: Any) -> RemoteBatch:
    made_at = NOW - timedelta(seconds=age_s)
    return RemoteBatch(name=name, endpoint=lane.partition("/")[0], lane=lane, made_at=made_at, **fields)


def names(batches: list[RemoteBatch]) -> list[str]:
    return [each.name for each in batches]


def test_all_remote_batches_are_sent_while_no_limit_is_met():
    assert names(in_turn([batch("b"), batch("a", age_s=1)])) == ["a", "b"]


def test_where_a_limit_was_met_the_oldest_is_sent_alone():
    waiting = [batch("new"), batch("half", age_s=5, limited=True, tries=1), batch("oldest", age_s=9)]
    under_way = [batch("sent", batch_id="batch_1", limited=True), batch("other", "openai/n")]

    assert names(in_turn([*waiting, *under_way])) == ["oldest", "other", "sent"]


def test_a_limited_batch_that_is_under_way_holds_up_no_other():
    assert names(in_turn([batch("sent", batch_id="batch_1", limited=True), batch("a"), batch("b")])) == [
        "a",
        "b",
        "sent",
    ]


@pytest.mark.parametrize(("jobs", "parts"), [(8, [4, 4]), (7, [4, 3]), (2, [1, 1])], ids=["even", "odd", "two"])
def test_halves_hold_each_job_once(jobs, parts):
    ids = [f"job-{number}" for number in range(jobs)]

    new = next_batches(batch("old"), ids, ["x", "y"], "too many tokens", NOW, limited=True)

    assert [len(part) for _, part in new] == parts
    assert [job for _, part in new for job in part] == ids
    assert {(each.lane, each.tries, each.limited, each.reason) for each, _ in new} == {
        ("openai/m", 1, True, "too many tokens")
    }


@pytest.mark.parametrize(("tries", "wait_s"), [(0, 60), (1, 120), (4, 960), (9, 1800)])
def test_the_wait_doubles_up_to_half_an_hour(tries, wait_s):
    [(new, _)] = next_batches(batch("old", tries=tries), ["job"], ["new"], "", NOW, limited=False)

    assert new.not_before == NOW + timedelta(seconds=wait_s)


@pytest.mark.parametrize(
    ("status", "reason", "wrong", "kind"),
    [
        ("expired", "", {}, None),
        ("completed", "", {}, None),
        ("failed", "", {}, None),
        ("failed", "no such model", {}, FailureKind.REJECTED),
        ("failed", "a line is wrong", {"mine": "it is wrong"}, FailureKind.REJECTED),
        ("failed", "a line is wrong", {"another": "it is wrong"}, None),
        ("cancelled", "", {}, FailureKind.CANCELLED_REMOTELY),
    ],
)
def test_what_is_temporary_goes_into_another_remote_batch(status, reason, wrong, kind):
    failure = verdict("mine", BatchObservation(status, True, reason, None, None), wrong)

    assert (failure and failure.kind) == kind


@pytest.mark.parametrize(
    ("kind", "names_fallback"), [(FailureKind.REJECTED, True), (FailureKind.QUOTA, False), (FailureKind.OVERDUE, True)]
)
def test_the_remedy_is_named_where_full_price_would_help(kind, names_fallback):
    place = failed(Progress(deadline_at=0, messages=1), Failure(kind=kind, message="No."), "openai")

    message = place.outcome.failure.message
    assert ('lane_fallback = "full_price" in [endpoints.openai]' in message) == names_fallback
