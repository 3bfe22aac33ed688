"""Rate limits in headers and refusals, in the form of each server."""

import pytest

from threadmill_emulator.limits.account import Account
from threadmill_emulator.limits.forms import Excess, duration, headers, refusal
from threadmill_emulator.scripting.limits import Limits

EXCESS = Excess("requests", "gpt-4o", limit=1200, used=1200, requested=1, wait_s=1.2)


def account() -> Account:
    made = Account(1, "gpt-4o")
    made.use(Limits(requests_per_minute=1200, tokens_per_minute=60_000), now=0)
    made.requests.take(5)
    made.tokens.take(100)
    return made


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0ms"), (0.006, "6ms"), (1.2, "1.2s"), (60, "1m0s"), (86.4, "1m26.4s")]
)
def test_durations_are_written_as_openai_does(seconds: float, text: str):
    assert duration(seconds) == text


def test_openai_tells_limits_remainders_and_resets():
    assert headers("openai", account(), "runs.create") == {
        "x-ratelimit-limit-requests": "1200",
        "x-ratelimit-remaining-requests": "1195",
        "x-ratelimit-reset-requests": "250ms",
        "x-ratelimit-limit-tokens": "60000",
        "x-ratelimit-remaining-tokens": "59900",
        "x-ratelimit-reset-tokens": "100ms",
    }


def test_azure_counts_in_whole_seconds_and_hides_the_values_of_responses():
    shown = headers("azure", account(), "runs.create")
    assert (shown["x-ratelimit-limit-requests"], shown["x-ratelimit-reset-requests"]) == ("1200", "1")
    hidden = headers("azure", account(), "responses.create")
    assert list(hidden.values()) == ["-1", "-1", "0"] * 2


def test_litellm_names_the_key_and_tells_no_reset():
    shown = headers("litellm", account(), "runs.create")
    assert shown["x-ratelimit-api_key-remaining-tokens"] == shown["x-ratelimit-remaining-tokens"] == "59900"
    assert not any("reset" in name for name in shown)


def test_without_a_form_there_are_no_headers():
    assert headers("none", account(), "runs.create") == {}


def test_openai_says_what_was_exceeded_and_when_to_try_again():
    error = refusal("openai", EXCESS, says_when=True)
    assert error.message == (
        "Rate limit reached for gpt-4o in organization org-emulator on requests per min (RPM): Limit 1200, Used 1200, "
        "Requested 1. Please try again in 1.2s. Visit https://platform.openai.com/account/rate-limits to learn more."
    )
    assert (error.status, error.type, error.code) == (429, "requests", "rate_limit_exceeded")
    assert error.headers == {"Retry-After": "2", "retry-after-ms": "1200"}


def test_azure_and_litellm_have_their_own_texts():
    azure = refusal("azure", EXCESS, says_when=True)
    assert (azure.message, azure.code) == ("Rate limit is exceeded. Try again in 2 seconds.", "429")
    litellm = refusal("litellm", EXCESS, says_when=True)
    assert litellm.headers == {"rate_limit_type": "requests", "retry-after": "60"}


@pytest.mark.parametrize("form", ["openai", "azure", "litellm", "none"])
def test_a_refusal_that_says_no_time_has_none_in_its_text_and_headers(form: str):
    error = refusal(form, EXCESS, says_when=False)
    assert "again in" not in error.message
    assert not any("retry" in name.lower() for name in error.headers)


def test_a_request_above_the_limit_itself_is_too_large_and_never_told_to_come_back():
    error = refusal("openai", Excess("tokens", "gpt-4o", 30_000, 0, 30_601, 1.0), says_when=True)
    assert error.message.startswith("Request too large for gpt-4o")
    assert "Limit 30000, Requested 30601." in error.message
    assert error.headers == {}
