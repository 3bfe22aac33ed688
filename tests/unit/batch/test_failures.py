"""Failures of a batch: groups, remedies, and the limit of endpoint failures."""

import pytest

from threadmill.batch.failures import advice, group_failures
from threadmill.batch.spending import BatchLimits, Spending
from threadmill.job.result import ENDPOINT_FAILURES, Failure, FailureKind
from threadmill.settings.prices import Prices


def failure(kind="rejected", message="is empty", **fields):
    return Failure(kind=kind, message=message, **fields)


def test_failures_are_grouped_by_reason_largest_group_first():
    quota = [(f"{n}.md", failure("quota", f"429 no credit (request req_{n}a)")) for n in range(3)]
    groups = group_failures([("a.md", failure()), *quota, ("b.md", failure(message="is encrypted"))])
    found = [(group.kind, group.message, group.documents) for group in groups]
    assert found == [
        ("quota", "429 no credit (request …", ["0.md", "1.md", "2.md"]),
        ("rejected", "is empty", ["a.md"]),
        ("rejected", "is encrypted", ["b.md"]),
    ]


def test_retry_failed_is_advised_only_where_asking_again_can_help():
    assert not any("--retry-failed" in line for line in advice({"rejected", "quota"}, retryable=0))
    assert any("2 failed" in line and "--retry-failed" in line for line in advice(set(), retryable=2))


@pytest.mark.parametrize("kind", sorted(ENDPOINT_FAILURES))
def test_each_endpoint_failure_has_a_remedy_and_how_to_continue(kind):
    lines = advice({kind}, retryable=0)
    assert lines[0].startswith(f"{kind}: ")
    assert "run the same command again" in lines[1]


def test_endpoint_failures_in_a_row_reach_a_limit():
    spending, in_a_row = Spending(Prices()), [failure("unauthorised", "401")] * 5
    assert BatchLimits().reached(spending, 5, in_a_row) == "5 jobs in a row failed because of the endpoint"
    assert BatchLimits().reached(spending, 5, in_a_row[:4]) is None
    assert BatchLimits(max_endpoint_failures=6).reached(spending, 5, in_a_row) is None


def test_failures_of_documents_are_not_endpoint_failures():
    assert {FailureKind.UNAUTHORISED, FailureKind.UNSUPPORTED, FailureKind.QUOTA} == ENDPOINT_FAILURES
