"""Rate limits as each server tells them: in headers, and in the reply to a request that exceeds them."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from threadmill_emulator.errors.api_error import ApiError
from threadmill_emulator.limits.account import Account
from threadmill_emulator.limits.bucket import Bucket
from threadmill_emulator.scripting.limits import HeaderForm

ORGANIZATION = "org-emulator"
MORE = "Visit https://platform.openai.com/account/rate-limits to learn more."
#: LiteLLM's windows: litellm/proxy/hooks/parallel_request_limiter_v3.py
WINDOW_S = 60


@dataclass(frozen=True)
class Excess:
    """A request that exceeds a limit."""

    kind: str  #: requests, tokens or concurrency
    model: str
    limit: float
    used: float
    requested: float
    wait_s: float | None  #: until the request would be accepted; None: unknown


def headers(form: HeaderForm, account: Account, route: str) -> dict[str, str]:
    """Returns the headers of a reply to a counted request."""
    return {f"x-ratelimit-{name}": value for name, value in _FORMS[form](account, route)}


def refusal(form: HeaderForm, excess: Excess, says_when: bool) -> ApiError:
    """Returns the reply to a request that exceeds a limit. `says_when`: it says when to try again."""
    return _REFUSALS[form](excess, excess.wait_s if says_when else None)


def duration(seconds: float) -> str:
    """Formats as OpenAI does: 6ms, 1.2s, 1m26.4s."""
    milliseconds = math.ceil(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes}m{rest / 1000:g}s" if minutes else f"{rest / 1000:g}s"


def _buckets(account: Account) -> Iterator[tuple[str, Bucket]]:
    for name, bucket in (("requests", account.requests), ("tokens", account.tokens)):
        if bucket:
            yield name, bucket


def _openai(account: Account, route: str) -> Iterator[tuple[str, str]]:
    for name, bucket in _buckets(account):
        yield f"limit-{name}", f"{bucket.per_minute:.0f}"
        yield f"remaining-{name}", str(bucket.remaining)
        yield f"reset-{name}", duration(bucket.full_in_s)


def _azure(account: Account, route: str) -> Iterator[tuple[str, str]]:
    """Seconds are whole numbers; in the Responses API, the values are -1, -1 and 0 (openai-dotnet issue 838)."""
    hidden = route.startswith("responses.")
    for name, bucket in _buckets(account):
        yield f"limit-{name}", "-1" if hidden else f"{bucket.per_minute:.0f}"
        yield f"remaining-{name}", "-1" if hidden else str(bucket.remaining)
        yield f"reset-{name}", "0" if hidden else str(math.ceil(bucket.full_in_s))


def _litellm(account: Account, route: str) -> Iterator[tuple[str, str]]:
    """Without a time of reset."""
    for name, bucket in _buckets(account):
        for whose in ("", "api_key-"):
            yield f"{whose}limit-{name}", f"{bucket.per_minute:.0f}"
            yield f"{whose}remaining-{name}", str(bucket.remaining)


def _none(account: Account, route: str) -> Iterator[tuple[str, str]]:
    return iter(())


def _openai_refusal(excess: Excess, wait_s: float | None) -> ApiError:
    if excess.kind == "concurrency":
        return _error(f"Too many concurrent requests for {excess.model}: Limit {excess.limit:.0f}.", "requests")
    unit = "requests per min (RPM)" if excess.kind == "requests" else "tokens per min (TPM)"
    where = f"{excess.model} in organization {ORGANIZATION} on {unit}: Limit {excess.limit:.0f}"
    if excess.requested > excess.limit:
        too_large = "The input or output tokens must be reduced in order to run successfully."
        text = f"Request too large for {where}, Requested {excess.requested:.0f}. {too_large} {MORE}"
        return _error(text, excess.kind)
    if wait_s is None:
        return _plain_refusal(excess, None)
    numbers = f"Used {excess.used:.0f}, Requested {excess.requested:.0f}"
    text = f"Rate limit reached for {where}, {numbers}. Please try again in {duration(wait_s)}. {MORE}"
    return _error(text, excess.kind, headers=_retry_after(wait_s))


def _azure_refusal(excess: Excess, wait_s: float | None) -> ApiError:
    text = "Rate limit is exceeded."
    if wait_s is None:
        return _error(text, "too_many_requests", "429")
    text += f" Try again in {max(1, math.ceil(wait_s))} seconds."
    return _error(text, "too_many_requests", "429", _retry_after(wait_s))


def _litellm_refusal(excess: Excess, wait_s: float | None) -> ApiError:
    kind = "max_parallel_requests" if excess.kind == "concurrency" else excess.kind
    text = f"Rate limit exceeded for api_key: emulated. Limit type: {kind}. Current limit: {excess.limit:.0f}, "
    told = {} if wait_s is None else {"retry-after": str(WINDOW_S)}
    return _error(f"{text}Remaining: 0.", "throttling_error", "429", {"rate_limit_type": kind, **told})


def _plain_refusal(excess: Excess, wait_s: float | None) -> ApiError:
    """Returns the error of the Assistants API, which tells no limit."""
    text = "You've exceeded the rate limit, please slow down and try again later."
    return _error(text, "invalid_request_error", headers={} if wait_s is None else _retry_after(wait_s))


def _retry_after(wait_s: float) -> dict[str, str]:
    return {"Retry-After": str(max(1, math.ceil(wait_s))), "retry-after-ms": str(math.ceil(wait_s * 1000))}


def _error(
    message: str, type: str, code: str = "rate_limit_exceeded", headers: dict[str, str] | None = None
) -> ApiError:
    return ApiError(429, message, type=type, code=code, headers=headers)


_FORMS: Mapping[HeaderForm, Callable[[Account, str], Iterator[tuple[str, str]]]] = {
    "openai": _openai,
    "azure": _azure,
    "litellm": _litellm,
    "none": _none,
}
_REFUSALS: Mapping[HeaderForm, Callable[[Excess, float | None], ApiError]] = {
    "openai": _openai_refusal,
    "azure": _azure_refusal,
    "litellm": _litellm_refusal,
    "none": _plain_refusal,
}
