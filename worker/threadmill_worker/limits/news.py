"""What a reply says about the limits of its pool. PURE."""

from dataclasses import asdict
from typing import Any

from threadmill.job.result import FailureKind
from threadmill_worker.drivers.replies.rate_limits import RateInfo
from threadmill_worker.lifecycle.observations import NotSent, Observation, Rejected, Unknown
from threadmill_worker.lifecycle.progress import REASON_CHARACTERS
from threadmill_worker.lifecycle.server_errors import asked_delay_s

#: For how long jobs use a fallback after the account has run out of quota, in seconds; then one tries again.
QUOTA_S = 300.0

#: News for `jobs/save`: the arguments of `limits.tell` (threadmill/store/lua/include/limits.lua).
News = dict[str, Any]


def news_of(seen: Observation, sent_at: float, rate_info: RateInfo | None) -> News:
    """Returns the news in the reply to a call that was sent at `sent_at`. `rate_info`: the limits in its headers."""
    if isinstance(seen, NotSent | Unknown) and seen.is_refusal:
        return _news("refused", sent_at, rate_info, delay_s=seen.retry_after_s, reason=seen.reason[:REASON_CHARACTERS])
    if isinstance(seen, NotSent | Unknown) and _fails(seen):
        return _news("failed", sent_at)  # without a reply, the headers are those of an earlier one
    if isinstance(seen, Rejected) and seen.failure.kind is FailureKind.QUOTA:
        return _news("failed", sent_at, delay_s=QUOTA_S)
    return _news("accepted", sent_at, rate_info)


def news_of_uncounted(seen: Observation, sent_at: float) -> News | None:
    """Returns the news in the reply to a call that the server does not count with the starts; None if there are none.

    A refusal says nothing about the rate of starts, but may name a time for which the server accepts nothing.
    """
    news = news_of(seen, sent_at, None)
    if news["kind"] == "refused" and "delay_s" in news:
        return news | {"kind": "wait"}
    return news if news["kind"] == "failed" else None


def news_of_run(reason: str, started_at: float) -> News:
    """Returns the news that a rate limit ended a run, which was started at `started_at`."""
    return _news("refused", started_at, delay_s=asked_delay_s(reason), reason=reason)


def _fails(seen: NotSent | Unknown) -> bool:
    """Whether the server failed. A thread that is locked, for example, is not its failure."""
    return seen.kind is FailureKind.UNREACHABLE or (isinstance(seen, Unknown) and seen.kind is FailureKind.SERVER_ERROR)


def _news(kind: str, sent_at: float, rate_info: RateInfo | None = None, **more: Any) -> News:
    fields = {"kind": kind, "sent_at": sent_at, **more, **(asdict(rate_info) if rate_info else {})}
    return {name: value for name, value in fields.items() if value is not None}
