"""Reads what the headers of a reply say about the server's rate limits. PURE.

Sources: OpenAI's guide rate-limits; learn.microsoft.com/answers 5625878 and openai-python issue 937 (Azure); LiteLLM's
docs/proxy/response_headers and parallel_request_limiter_v3.py; console.groq.com/docs/rate-limits; RFC 9110 10.2.3;
draft-ietf-httpapi-ratelimit-headers, as Envoy sends it.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import NamedTuple

_MINUTE_S = 60.0

#: The windows of servers that do not state them, besides a minute: an hour and a day.
_LONG_WINDOWS_S = (3600.0, 86400.0)
_TOLERANCE = 0.05

#: Servers without a limit send numbers from here on: LiteLLM sends 2^63 - 1.
_NO_LIMIT = 1e10

#: Longer delays are no delays: a number of seconds this large is a time since 1970.
_EPOCH_S, _EPOCH_MS = 1e9, 1e12

#: `x-ratelimit-remaining-requests` (OpenAI, Azure, Groq, xAI), `x-ratelimit-api_key-remaining-requests` (LiteLLM: the
#: limits of a key, a team, a user), `llm_provider-x-ratelimit-remaining-requests` (LiteLLM: those of the server behind
#: it), `x-ratelimit-remaining-project-tokens` (OpenAI). Azure's `renewalperiod` is the window in seconds.
_NAME = re.compile(
    r"(llm_provider-)?x-ratelimit-(?:([a-z_]+)-)?(limit|remaining|reset|renewalperiod)-(project-)?(requests|tokens)"
)

#: Headers that may state a limit together with its window: `x-ratelimit-limit: 100, 100;w=60`.
_POLICIES = frozenset({"x-ratelimit-limit", "ratelimit-limit", "ratelimit-policy"})
_POLICY = re.compile(r"(?<!\d)(\d{1,12})\s*;\s*w=(\d{1,9})(?!\d)", re.ASCII)

_NUMBER = re.compile(r"\d{1,20}(?:\.\d{1,20})?", re.ASCII)

#: "1s", "6m0s", "120ms", "1m26.4s", "23h18m29.144s"
_DURATION = re.compile(
    r"(?:(\d{1,6})h)?(?:(\d{1,6})m(?!s))?(?:(\d{1,9}(?:\.\d{1,20})?)s)?(?:(\d{1,9}(?:\.\d{1,20})?)ms)?", re.ASCII
)


@dataclass(frozen=True)
class RateInfo:
    """The rate limits that a reply names. None: the reply does not say, or names a limit of an hour or a day."""

    requests_limit: float | None = None  #: per minute
    requests_remaining: float | None = None
    requests_reset_s: float | None = None  #: seconds until all of the limit is available again
    tokens_limit: float | None = None  #: per minute
    tokens_remaining: float | None = None
    tokens_reset_s: float | None = None


class _Limit(NamedTuple):
    """One limit; `limit` is per minute."""

    limit: float | None = None
    remaining: float | None = None
    reset_s: float | None = None


class _Scope(NamedTuple):
    """What one limit applies to. `is_behind`: it is that of a server behind the one that replied."""

    unit: str
    is_behind: bool
    name: str


def read_rate_info(headers: Mapping[str, str]) -> RateInfo | None:
    """Returns the limits in the headers of a reply, or None if there are none.

    If there are several limits of a kind, the lowest is returned; limits of a server behind a proxy only if the proxy
    has none, because a proxy may spread its requests over several servers.
    """
    said: dict[_Scope, dict[str, float]] = defaultdict(dict)
    policies: list[_Limit] = []
    for name, value in headers.items():
        name = name.lower()
        if "ratelimit" not in name:
            continue
        if name in _POLICIES:
            policies += _policies(value)
        elif (named := _NAME.fullmatch(name)) and (number := _read(named[3], value, headers)) is not None:
            scope = _Scope(named[5], named[1] is not None, named[2] or named[4] or "")
            said[scope][named[3]] = number
    requests, tokens = _limit("requests", said) or _lowest(policies), _limit("tokens", said)
    if requests is None and tokens is None:
        return None
    return RateInfo(*(requests or _Limit()), *(tokens or _Limit()))


def read_retry_after_s(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Returns the delay that a refusal asks for, in seconds; None if it names none, or a time that has passed.

    A date is read as the difference to the reply's own Date, because the clocks of the server and the worker may
    differ; without one, to `now`, in seconds since 1970.
    """
    for name, unit in (("retry-after-ms", 1000), ("x-ms-retry-after-ms", 1000), ("retry-after", 1)):
        value = headers.get(name, "").strip()
        if _NUMBER.fullmatch(value) and (delay_s := float(value) / unit) > 0:
            return delay_s
    until, sent_at = _date(headers.get("retry-after", "")), _date(headers.get("date", ""))
    since = now if sent_at is None else sent_at
    if until is None or since is None or until <= since:
        return None
    return until - since


def _limit(unit: str, said: Mapping[_Scope, Mapping[str, float]]) -> _Limit | None:
    def known(*, is_behind: bool) -> Iterator[_Limit]:
        for scope, numbers in said.items():
            limit = _per_minute(numbers)
            if (scope.unit, scope.is_behind) == (unit, is_behind) and limit is not None:
                yield limit

    return _lowest(known(is_behind=False)) or _lowest(known(is_behind=True))


def _lowest(limits: Iterable[_Limit]) -> _Limit | None:
    return min(limits, key=lambda each: _NO_LIMIT if each.limit is None else each.limit, default=None)


def _per_minute(numbers: Mapping[str, float]) -> _Limit | None:
    """Returns the limit if its window is a minute, or a shorter one that the headers state.

    A limit of an hour or a day says nothing about the rate that the server accepts now, so it is ignored.
    """
    limit, remaining = numbers.get("limit"), numbers.get("remaining")
    reset_s, window_s = numbers.get("reset"), numbers.get("renewalperiod")
    if limit is not None and remaining is not None and remaining > limit:
        remaining = None
    if (limit, remaining) == (None, None) or (window_s is None and _is_long(limit, remaining, reset_s)):
        return None
    if window_s is not None and window_s != _MINUTE_S:
        return _Limit(limit * _MINUTE_S / window_s) if limit is not None and 0 < window_s < _MINUTE_S else None
    return _Limit(limit, remaining, reset_s)


def _is_long(limit: float | None, remaining: float | None, reset_s: float | None) -> bool:
    """Whether the window is longer than a minute, for servers that do not state it.

    A minute is assumed, as OpenAI and LiteLLM count. But `x-ratelimit-limit-requests` is per day at Groq, and for small
    accounts at OpenAI: "limit 10000, remaining 9999, reset 8.64s" is a bucket that refills in a day.
    """
    if reset_s is None:
        return False
    if reset_s > _MINUTE_S * (1 + _TOLERANCE):
        return True
    if limit is None or remaining is None or remaining >= limit:
        return False
    used = limit - remaining  # a whole number, rounded up
    refill_s, least = reset_s * limit / used, max(used - 1, 1) / used * (1 - _TOLERANCE)
    return any(least <= refill_s / window_s <= 1 + _TOLERANCE for window_s in _LONG_WINDOWS_S)


def _policies(value: str) -> Iterator[_Limit]:
    """Yields the limits per minute of a header that states them with their windows."""
    for quota, window in _POLICY.findall(value):
        if 0 < int(quota) < _NO_LIMIT and 0 < int(window) <= _MINUTE_S:
            yield _Limit(int(quota) * _MINUTE_S / int(window))


def _read(field: str, value: str, headers: Mapping[str, str]) -> float | None:
    """Returns the number in a header. Azure sends -1 for what it does not know."""
    value = value.strip()
    if field == "reset":
        return _seconds(value, headers)
    if not _NUMBER.fullmatch(value):
        return None
    number = float(value)
    if number >= _NO_LIMIT or (field != "remaining" and number == 0):
        return None
    return number


def _seconds(value: str, headers: Mapping[str, str]) -> float | None:
    """Returns the seconds until a reset: a duration, a number of seconds, or a time since 1970."""
    if not _NUMBER.fullmatch(value):
        duration = _DURATION.fullmatch(value)
        if not value or duration is None:
            return None
        hours, minutes, seconds, milliseconds = (float(part or 0) for part in duration.groups())
        return 3600 * hours + 60 * minutes + seconds + milliseconds / 1000
    number = float(value)
    if number < _EPOCH_S:
        return number
    at, sent_at = number / (1000 if number >= _EPOCH_MS else 1), _date(headers.get("date", ""))
    return None if sent_at is None or at < sent_at else at - sent_at


def _date(value: str) -> float | None:
    """Returns an HTTP date in seconds since 1970."""
    try:
        at = parsedate_to_datetime(value)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
