"""What replies say about the limits of a pool."""

from typing import Any

import pytest
from tests.unit.lifecycle.story import BUSY, GONE, LOST, QUEUED, REFUSED

from threadmill.job.result import FailureKind
from threadmill_worker.drivers.replies.rate_limits import RateInfo
from threadmill_worker.lifecycle.observations import LaneClosed, NotSent, Observation, Unknown
from threadmill_worker.limits.news import news_of, news_of_run

HEADERS = RateInfo(requests_limit=1200.0, requests_remaining=7.0)
LOCKED = Unknown("400 an active run", FailureKind.REJECTED, "run_theirs")


@pytest.mark.parametrize("seen", [QUEUED, REFUSED, GONE, LOCKED, LaneClosed("429 no capacity", passes=True)])
def test_a_reply_that_is_no_refusal_shows_that_the_server_accepted_the_call(seen: Observation) -> None:
    assert news_of(seen, 5.0, None) == {"kind": "accepted", "sent_at": 5.0}


def test_the_headers_of_a_reply_are_news() -> None:
    news = news_of(QUEUED, 5.0, HEADERS)
    assert news == {"kind": "accepted", "sent_at": 5.0, "requests_limit": 1200.0, "requests_remaining": 7.0}


@pytest.mark.parametrize(
    ("seen", "more"),
    [
        (BUSY, {}),
        (NotSent("slow down", FailureKind.RATE_LIMITED, 7.0), {"delay_s": 7.0}),
        (NotSent("slow down", FailureKind.SERVER_ERROR, overloaded=True), {}),
        (Unknown("slow down", FailureKind.SERVER_ERROR, overloaded=True, retry_after_s=9.0), {"delay_s": 9.0}),
    ],
)
def test_a_429_and_an_overload_are_refusals(seen: Observation, more: dict[str, Any]) -> None:
    assert news_of(seen, 5.0, None) == {"kind": "refused", "sent_at": 5.0, "reason": "slow down", **more}


@pytest.mark.parametrize("seen", [LOST, NotSent("no connection"), Unknown("500", FailureKind.SERVER_ERROR)])
def test_a_server_that_fails_says_nothing_about_its_limits(seen: Observation) -> None:
    assert news_of(seen, 5.0, HEADERS) == {"kind": "failed", "sent_at": 5.0}


def test_a_run_that_a_rate_limit_ended_is_a_refusal() -> None:
    reason = "a run failed with rate_limit_exceeded: Please try again in 1m2s."
    assert news_of_run(reason, 5.0) == {"kind": "refused", "sent_at": 5.0, "delay_s": 62.0, "reason": reason}
