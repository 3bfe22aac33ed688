"""What replies say about rate limits, and for how long a refusal asks to wait."""

import math
from dataclasses import astuple

import httpx2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from threadmill_worker.drivers.replies.rate_limits import RateInfo, read_rate_info, read_retry_after_s

DATE = "Sat, 28 Nov 2026 18:00:00 GMT"
DATE_S = 1795888800

#: community.openai.com/t/1268905
OPENAI = {
    "x-ratelimit-limit-requests": "5000",
    "x-ratelimit-limit-tokens": "160000",
    "x-ratelimit-limit-tokens_usage_based": "160000",
    "x-ratelimit-remaining-requests": "4999",
    "x-ratelimit-remaining-tokens": "159976",
    "x-ratelimit-reset-requests": "12ms",
    "x-ratelimit-reset-tokens": "9ms",
}

#: OpenAI's guide rate-limits: the organisation has more tokens than the project.
OF_A_PROJECT = OPENAI | {
    "x-ratelimit-limit-project-tokens": "60000",
    "x-ratelimit-remaining-project-tokens": "57000",
    "x-ratelimit-reset-project-tokens": "3s",
}

#: An account of OpenAI's first tier: 10,000 requests a day.
OPENAI_PER_DAY = {
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-remaining-requests": "9999",
    "x-ratelimit-reset-requests": "8.64s",
    "x-ratelimit-limit-tokens": "200000",
    "x-ratelimit-remaining-tokens": "199000",
    "x-ratelimit-reset-tokens": "300ms",
}

#: console.groq.com/docs/rate-limits: requests per day, tokens per minute.
GROQ = {
    "retry-after": "2",
    "x-ratelimit-limit-requests": "14400",
    "x-ratelimit-limit-tokens": "18000",
    "x-ratelimit-remaining-requests": "14370",
    "x-ratelimit-remaining-tokens": "17997",
    "x-ratelimit-reset-requests": "2m59.56s",
    "x-ratelimit-reset-tokens": "7.66s",
}

#: Azure's Responses API, seen in 2026 with gpt-5.4.
AZURE = {
    "x-ratelimit-abusepenalty-active": "False",
    "x-ratelimit-key": "gpt-5.4",
    "x-ratelimit-limit-requests": "2500",
    "x-ratelimit-limit-tokens": "250000",
    "x-ratelimit-remaining-requests": "2499",
    "x-ratelimit-remaining-tokens": "249993",
    "x-ratelimit-renewalperiod-requests": "60",
    "x-ratelimit-renewalperiod-tokens": "60",
    "x-ratelimit-reset-requests": "24",
    "x-ratelimit-reset-tokens": "1",
}

#: learn.microsoft.com/answers 5625878
AZURE_UNKNOWN = {
    "x-ratelimit-limit-tokens": "-1",
    "x-ratelimit-remaining-tokens": "-1",
    "x-ratelimit-reset-tokens": "0",
}

#: github.com/EvolvingPrograms/oaib issue 11: Azure's classic API names no limit.
AZURE_CLASSIC = {"x-ratelimit-remaining-requests": "79", "x-ratelimit-remaining-tokens": "61353"}

#: LiteLLM's parallel_request_limiter_v3.py, with the headers of the server behind it.
LITELLM = {
    "x-ratelimit-api_key-limit-requests": "10",
    "x-ratelimit-api_key-remaining-requests": "7",
    "x-ratelimit-team-limit-requests": "50",
    "x-ratelimit-team-remaining-requests": "47",
    "x-ratelimit-api_key-limit-max_parallel_requests": "3",
    "llm_provider-x-ratelimit-limit-requests": "5",
    "llm_provider-x-ratelimit-limit-tokens": "160000",
    "llm_provider-x-ratelimit-remaining-tokens": "159976",
    "llm_provider-x-ratelimit-reset-tokens": "9ms",
}


@pytest.mark.parametrize(
    ("headers", "limits"),
    [
        (OPENAI, (5000, 4999, 0.012, 160_000, 159_976, 0.009)),
        (OF_A_PROJECT, (5000, 4999, 0.012, 60_000, 57_000, 3)),
        (OPENAI_PER_DAY, (None, None, None, 200_000, 199_000, 0.3)),
        (GROQ, (None, None, None, 18_000, 17_997, 7.66)),
        (AZURE, (2500, 2499, 24, 250_000, 249_993, 1)),
        (AZURE_CLASSIC, (None, 79, None, None, 61_353, None)),
        (LITELLM, (10, 7, None, 160_000, 159_976, 0.009)),
    ],
)
def test_the_limits_that_servers_name(headers, limits):
    assert astuple(read_rate_info(httpx2.Headers(headers))) == limits


@pytest.mark.parametrize(
    "headers", [{}, {"date": DATE, "retry-after": "5"}, {"x-ratelimit-limit": "60"}, AZURE_UNKNOWN]
)
def test_a_reply_without_limits(headers):
    assert read_rate_info(headers) is None


@pytest.mark.parametrize("value", ["-1", "0", "nan", "inf", "1e9", "9223372036854775807", "", "none", "10,10", "¹"])
def test_a_limit_that_is_no_limit_is_ignored(value):
    assert read_rate_info({"x-ratelimit-limit-requests": value}) is None


def test_more_cannot_remain_than_the_limit():
    headers = {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "61"}
    assert read_rate_info(headers) == RateInfo(requests_limit=60)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1),
        ("120ms", 0.12),
        ("0s", 0),
        ("1m0s", 60),
        ("0h0m7.66s", 7.66),
        ("59.5s", 59.5),
        ("30", 30),
        ("0.5", 0.5),
        (str(DATE_S + 20), 20),
        (str((DATE_S + 20) * 1000), 20),
        (str(DATE_S - 20), None),
        ("2026-11-28T18:00:20Z", None),
        ("soon", None),
        ("-1", None),
    ],
)
def test_the_forms_of_a_reset(text, seconds):
    headers = {"date": DATE, "x-ratelimit-limit-requests": "60", "x-ratelimit-reset-requests": text}
    assert read_rate_info(headers) == RateInfo(requests_limit=60, requests_reset_s=seconds)


@pytest.mark.parametrize("text", ["7m12s", "23h18m29.144s", "90"])
def test_a_limit_that_resets_later_than_in_a_minute_is_not_per_minute(text):
    assert read_rate_info({"x-ratelimit-limit-requests": "200", "x-ratelimit-reset-requests": text}) is None


@pytest.mark.parametrize(("used", "shown_used"), [(1.0, 1), (1.7, 2), (9.2, 10)])
@pytest.mark.parametrize(("window_s", "is_used"), [(60, True), (3600, False), (86400, False)])
def test_a_bucket_shows_its_window_by_the_time_to_its_reset(used, shown_used, window_s, is_used):
    limit = 1000
    headers = {
        "x-ratelimit-limit-requests": str(limit),
        "x-ratelimit-remaining-requests": str(limit - shown_used),
        "x-ratelimit-reset-requests": f"{used / limit * window_s:.3f}s",
    }
    assert (read_rate_info(headers) is not None) is is_used


@pytest.mark.parametrize(("window", "limit"), [("10", 60), ("1", 600), ("3600", None), ("0", 10)])
def test_a_window_that_the_server_states(window, limit):
    headers = {"x-ratelimit-limit-requests": "10", "x-ratelimit-renewalperiod-requests": window}
    info = read_rate_info(headers)
    assert (info and info.requests_limit) == limit


@pytest.mark.parametrize(
    ("headers", "limit"),
    [
        ({"x-ratelimit-limit": "10, 10;w=1, 1000;w=3600"}, 600),  # Envoy
        ({"ratelimit-limit": "100, 100;w=60"}, 100),
        ({"ratelimit-policy": '"minute";q=100;w=60'}, 100),
        ({"x-ratelimit-limit": "5000", "x-ratelimit-remaining": "4999", "x-ratelimit-reset": "1795888900"}, None),
        ({"x-ratelimit-limit": "5000;w=3600"}, None),
        ({"x-ratelimit-limit": "0;w=60, 5;w=0"}, None),
    ],
)
def test_limits_of_gateways_count_only_with_their_window(headers, limit):
    info = read_rate_info(headers)
    assert (info and info.requests_limit) == limit


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"x-ms-retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7),
        ({"retry-after": "Sat, 28 Nov 2026 18:00:20 GMT", "date": DATE}, 20),
        ({"retry-after": "Sat Nov 28 18:00:20 2026", "date": DATE}, 20),
        ({"retry-after": "Sat, 28 Nov 2026 18:00:20 GMT"}, None),
        ({"retry-after": "Sat, 28 Nov 2026 17:59:59 GMT", "date": DATE}, None),
        ({"retry-after": "0"}, None),
        ({"retry-after": "-1"}, None),
        ({}, None),
    ],
)
def test_how_long_a_refusal_asks_to_wait(headers, seconds):
    assert read_retry_after_s(headers) == seconds


NAMES = st.builds(
    "{}{}{}-{}{}".format,
    st.sampled_from(["", "llm_provider-"]),
    st.sampled_from(["x-ratelimit-", "x-ratelimit-team-", "X-RateLimit-"]),
    st.sampled_from(["limit", "remaining", "reset", "renewalperiod"]),
    st.sampled_from(["", "project-"]),
    st.sampled_from(["requests", "tokens"]),
) | st.sampled_from(["x-ratelimit-limit", "ratelimit-policy", "date", "retry-after", "retry-after-ms"])

VALUES = (
    st.text(max_size=20)
    | st.integers().map(str)
    | st.floats().map(str)
    | st.from_regex(r"(\d+h)?(\d+m)?(\d+(\.\d+)?s)?(\d+ms)?", fullmatch=True)
    | st.from_regex(r"\w\w\w, \d\d \w\w\w \d{4,6} \d\d:\d\d:\d\d [+-]?\w{2,5}", fullmatch=True)
    | st.from_regex(r"\d+;w=\d+(, \d+;w=\d+)*", fullmatch=True)
)


@given(st.dictionaries(NAMES, VALUES))
@example({"date": "Sat, 28 Nov 0000 18:00:00 GMT", "x-ratelimit-reset-requests": str(DATE_S)})
def test_no_header_raises_and_all_limits_are_usable(headers):
    numbers = astuple(read_rate_info(headers) or RateInfo())
    assert all(number is None or (math.isfinite(number) and number >= 0) for number in numbers)
    assert numbers[0] != 0
    assert numbers[3] != 0
    delay_s = read_retry_after_s(headers)
    assert delay_s is None or 0 < delay_s < math.inf


def test_a_date_of_a_reply_without_its_own_is_read_by_the_clock_of_the_caller():
    headers = {"retry-after": "Thu, 01 Jan 1970 00:02:00 GMT"}
    assert read_retry_after_s(headers) is None
    assert read_retry_after_s(headers, 100.0) == 20
    assert read_retry_after_s(headers, 130.0) is None
