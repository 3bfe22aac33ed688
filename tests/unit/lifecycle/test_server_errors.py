"""What an error means for a job. The texts are real servers' own."""

from typing import get_args

import pytest
from openai.types.responses import ResponseError

from threadmill.job.result import FailureKind
from threadmill_worker.lifecycle.server_errors import ServerError, failure_of

POLLING = "background_streaming_error"  #: LiteLLM's polling_via_cache has this code for whatever went wrong
LITELLM = "litellm.{0}: {0}: OpenAIException - "

RATE_LIMITED = FailureKind.RATE_LIMITED, True
PASSES = FailureKind.SERVER_ERROR, True
REJECTED = FailureKind.REJECTED, False
UNAUTHORISED = FailureKind.UNAUTHORISED, False
QUOTA = FailureKind.QUOTA, False


def judged(*args: str | int | None, **fields: str | int | None) -> tuple[FailureKind, bool]:
    failure = failure_of(ServerError(*args, **fields))
    return failure.kind, failure.retryable


@pytest.mark.parametrize(
    "message",
    [
        f"{LITELLM.format('RateLimitError')}server overload, please try again later",
        "litellm.RateLimitError: Deployment over defined rpm limit=20. current usage=20",
        "litellm.RateLimitError: Deployment has all max_parallel_requests slots in use. Deployment model_group=m",
        "Deployment over user-defined ratelimit. tpm limit=8000. current usage=8241",
        "No deployments available for selected model, Try again in 27.5 seconds. Passed model=m.",
        "429: LiteLLM Rate Limit Handler for rate limit type = team. Crossed TPM / RPM / Max Parallel Request Limit.",
        "Max parallel request limit reached",
        "Error code: 429 - {'message': 'busy'}",
        "429 RESOURCE_EXHAUSTED: You exceeded your current quota, please check your plan. Please retry in 34.07s.",
        "An error occurred (ThrottlingException) when calling the Converse operation: Too many requests",
    ],
)
@pytest.mark.parametrize("code", [POLLING, "server_error", None])
def test_rate_limits_of_a_backend_are_recognised_by_their_wording(message, code):
    assert judged(message, code, "internal_error") == RATE_LIMITED


@pytest.mark.parametrize(
    "message",
    [
        f"{LITELLM.format('InternalServerError')}Connection error.",
        f"{LITELLM.format('ServiceUnavailableError')}upstream overloaded",
        f"{LITELLM.format('APIConnectionError')}Connection error.",
        "litellm.Timeout: APITimeoutError - Request timed out.",
        "Error code: 500 - {'error': {'message': 'boom'}}",
        "Error code: 408 - too slow",
        "",
    ],
)
@pytest.mark.parametrize("code", [POLLING, "engine_crashed", "500", None])
def test_an_unknown_error_is_a_transient_server_error(message, code):
    assert judged(message, code, "internal_error") == PASSES


@pytest.mark.parametrize(
    ("message", "code", "type", "means"),
    [
        (f"{LITELLM.format('BadRequestError')}Unknown parameter", POLLING, "internal_error", REJECTED),
        (f"{LITELLM.format('ContextWindowExceededError')}too long", POLLING, None, REJECTED),
        (f"{LITELLM.format('AuthenticationError')}Incorrect API key", POLLING, None, UNAUTHORISED),
        ("Error code: 401 - Incorrect API key provided", "server_error", None, UNAUTHORISED),
        ("Error code: 400 - {'error': {'message': 'no'}}", "server_error", None, REJECTED),
        ("This model's maximum context length is 8192 tokens.", POLLING, None, REJECTED),
        ("no", "400", "BadRequestError", REJECTED),
        ("no", None, "invalid_request_error", REJECTED),
        ("slow down", None, "invalid_request_error", REJECTED),
        ("You've exceeded the rate limit, please slow down", None, "invalid_request_error", RATE_LIMITED),
        ("no", "slow_down", "invalid_request_error", RATE_LIMITED),
        ("no", None, "rate_limit_error", RATE_LIMITED),
        ("no", None, "authentication_error", UNAUTHORISED),
        ("filtered", "content_filter", None, REJECTED),
        ("Invalid 'rate limit'", "invalid_value", None, REJECTED),
        ("Your prompt of a credit balance was flagged", "content_filter", None, REJECTED),
        ("The corporate limit of a request is 7", "400", None, REJECTED),
        ("Flagged", "invalid_prompt", None, (FailureKind.INVALID_PROMPT, False)),
        (f"{LITELLM.format('RateLimitError')}insufficient_quota", POLLING, None, QUOTA),
        ("Budget has been exceeded! Current cost: 2.0, Max budget: 1.0", POLLING, None, QUOTA),
        ("You exceeded your current quota", "rate_limit_exceeded", None, QUOTA),
    ],
)
def test_type_status_and_wording_show_what_is_permanent(message, code, type, means):
    assert judged(message, code, type) == means


@pytest.mark.parametrize("code", get_args(ResponseError.model_fields["code"].annotation))
def test_the_codes_of_openai_are_all_known(code):
    passing = {"server_error": PASSES, "vector_store_timeout": PASSES, "rate_limit_exceeded": RATE_LIMITED}
    permanent = (FailureKind.INVALID_PROMPT, False) if code == "invalid_prompt" else REJECTED
    assert judged("Sorry.", code) == passing.get(code, permanent)


@pytest.mark.parametrize(
    ("status", "means"),
    [(400, REJECTED), (401, UNAUTHORISED), (402, QUOTA), (409, PASSES), (429, RATE_LIMITED), (503, PASSES)],
)
def test_the_http_status_classifies_an_error(status, means):
    assert judged("no", status=status) == means
