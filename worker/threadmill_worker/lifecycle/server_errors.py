"""Classifies the errors of servers. PURE.

The codes and texts are those of OpenAI (guides/error-codes, ResponseError of the API reference), Azure OpenAI, LiteLLM
(exceptions.py, router.py, proxy/hooks) and OGX. An unknown code is judged by the error's type, by the HTTP status that
it names, and by its wording. If none of these decides, the error is the server's, and retryable.
"""

import re
from dataclasses import dataclass

from threadmill.job.result import Failure, FailureKind

#: Codes after which no request succeeds until somebody acts.
QUOTA_CODES = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "budget_exceeded",  # LiteLLM: the budget of a key, a user or a team
    }
)
_QUOTA_TEXT = re.compile(
    rf"{'|'.join(QUOTA_CODES)}|exceeded your current quota|credit balance|insufficient balance", re.IGNORECASE
)

#: LiteLLM's text for an exceeded budget, which it sends with status 400 and no code.
_BUDGET_TEXT = "Budget has been exceeded! Current cost"

_RATE_CODES = frozenset({"rate_limit_exceeded", "rate_limit_error", "rate_limited", "slow_down", "too_many_requests"})
_RATE_TEXT = re.compile(
    r"\brate.?limit|ratelimit|too many requests|throttl|(?:requests|tokens) per (?:second|min|hour|day)"
    # LiteLLM's router, which limits the requests to a backend
    r"|\b[rt]pm limit|max parallel request|no deployments available for selected model"
    r"|resource.?exhausted",  # Google
    re.IGNORECASE,
)

#: Codes and types of a request that a server refuses because it is overloaded: OpenAI's guide error-codes, Anthropic's
#: and OpenRouter's pages about errors, Moonshot.
_OVERLOAD_CODES = frozenset(
    {"server_is_overloaded", "slow_down", "overloaded_error", "engine_overloaded_error", "provider_overloaded"}
)
_OVERLOAD_STATUSES = frozenset({503, 529})
_OVERLOAD_TEXT = re.compile(r"\boverload(?:ed)?\b|\bslow.?down\b|\bat capacity\b|\bhigh demand\b", re.IGNORECASE)

#: OpenAI's texts for a request that needs more tokens than the limit allows in a minute; Groq has the first too.
_TOO_LARGE_TEXT = re.compile(r"\brequest too large for\b|must be reduced in order to run successfully", re.IGNORECASE)
TOO_LARGE_REMEDY = "; shorten the input, lower max_completion_tokens, or have the limit raised"

_REJECTED_CODES = frozenset(
    {
        "content_filter",
        "context_length_exceeded",
        "data_residency_mismatch",
        "failed_to_download_image",
        "model_not_found",
        "string_above_max_length",
    }
)
_REJECTED_CODE = re.compile(r"(?:invalid|unsupported|image|empty|missing|unknown)_|.*_policy(?:_violation)?$")
_REJECTED_TEXT = re.compile(
    r"maximum context length|context window|content management policy|content.?policy|content.?filter", re.IGNORECASE
)
_REJECTED_TYPES = frozenset({"invalid_request_error", "not_found_error"})
_KEY_TYPES = frozenset({"authentication_error", "permission_error"})

#: An error that a proxy received from another server, in the words of the openai package or of LiteLLM.
_STATUS_TEXT = re.compile(r"\berror code: (\d{3})\b|^(\d{3}): ", re.IGNORECASE)
_CLASS_TEXT = re.compile(r"\blitellm\.(\w+)\b")
_CLASS_STATUS = {
    "BadRequestError": 400,
    "ContentPolicyViolationError": 400,
    "ContextWindowExceededError": 400,
    "UnsupportedParamsError": 400,
    "AuthenticationError": 401,
    "PermissionDeniedError": 403,
    "NotFoundError": 404,
    "UnprocessableEntityError": 422,
    "RateLimitError": 429,
}

#: Statuses from 400 to 499 after which the same request may succeed.
_PASSING = frozenset({408, 409, 425, 429})

#: "Please try again in 12.3s", "... 120ms", "... 1m26.4s" (OpenAI), "Try again in 60 seconds" (LiteLLM), "Please retry
#: after 7 seconds" (Azure).
_TRY_AGAIN = re.compile(
    r"(?:try again|retry) (?:in|after) (?:(\d{1,3})m)?(\d{1,5}(?:\.\d+)?)\s*(ms|milliseconds?|s|sec|seconds?)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ServerError:
    """The fields of an error reply, or of the error of a failed run. `message` is "" if there is none."""

    message: str = ""
    code: str | None = None
    type: str | None = None
    param: str | None = None  #: the parameter of the request that is wrong
    status: int | None = None  #: the status of the HTTP reply; None for a failed run

    @property
    def is_quota(self) -> bool:
        """Whether somebody must act. Google names a quota for rate limits too, but then says how long to wait."""
        if {self.code, self.type} & QUOTA_CODES or self.status == 402 or _BUDGET_TEXT in self.message:
            return True
        if self.status not in (None, 429) or asked_delay_s(self.message) is not None:
            return False
        return bool(_QUOTA_TEXT.search(self.message))

    @property
    def is_overload(self) -> bool:
        """Whether a server error is due to overload."""
        return (
            self.status in _OVERLOAD_STATUSES or self.refuses_for_overload or bool(_OVERLOAD_TEXT.search(self.message))
        )

    @property
    def refuses_for_overload(self) -> bool:
        """Whether the server itself refused the request for overload, before it acted on it.

        A text is no proof, nor is a bare status: proxies also send them after they have forwarded a request. LiteLLM
        may have tried several servers before it relays the error of the last.
        """
        return bool({self.code, self.type} & _OVERLOAD_CODES) and not _CLASS_TEXT.search(self.message)

    @property
    def is_too_large(self) -> bool:
        """Whether the request alone exceeds a rate limit, so that no wait helps."""
        return self.status in (None, 429) and bool(_TOO_LARGE_TEXT.search(self.message))


def failure_of(error: ServerError) -> Failure:
    """Returns the failure for an error of a run or a request. If in doubt it is retryable: `reruns` bounds the cost."""
    kind, retryable = _judge(error)
    message = error.message or "the server gave no reason"
    if error.is_too_large:
        message += TOO_LARGE_REMEDY
    return Failure(kind=kind, message=message, code=error.code, retryable=retryable)


def asked_delay_s(message: str) -> float | None:
    """Returns the seconds that the message asks to wait; None if it names no time."""
    asked = _TRY_AGAIN.search(message)
    if asked is None:
        return None
    minutes, number, unit = asked.groups()
    return 60 * int(minutes or 0) + float(number) / (1000 if unit.lower().startswith("m") else 1)


def _judge(error: ServerError) -> tuple[FailureKind, bool]:
    code, status = error.code or "", _status_of(error)
    if "invalid_prompt" in (code, error.type):
        return FailureKind.INVALID_PROMPT, False
    if code in _REJECTED_CODES or _REJECTED_CODE.match(code):
        return FailureKind.REJECTED, False
    if error.is_quota:
        return FailureKind.QUOTA, False
    if error.is_too_large:
        return FailureKind.REJECTED, False
    if status == 429 or {code, error.type} & _RATE_CODES:
        return FailureKind.RATE_LIMITED, True
    if error.status is None and _RATE_TEXT.search(error.message):  # an HTTP status is more reliable than the text
        return FailureKind.RATE_LIMITED, True
    if status in (401, 403) or error.type in _KEY_TYPES:
        return FailureKind.UNAUTHORISED, False
    if status is not None and 400 <= status < 500 and status not in _PASSING:
        return FailureKind.REJECTED, False
    if error.type in _REJECTED_TYPES or _REJECTED_TEXT.search(error.message):
        return FailureKind.REJECTED, False
    return FailureKind.SERVER_ERROR, True


def _status_of(error: ServerError) -> int | None:
    """Returns the HTTP status of the reply, or the one that its code or its message names."""
    if error.status is not None:
        return error.status
    if error.code and error.code.isdecimal() and len(error.code) == 3:
        return int(error.code)
    if found := _STATUS_TEXT.search(error.message):
        return int(found[1] or found[2])
    named = _CLASS_TEXT.search(error.message)
    return _CLASS_STATUS.get(named[1]) if named else None
