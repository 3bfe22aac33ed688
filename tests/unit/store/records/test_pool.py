"""A pool as its hash in Redis describes it."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from threadmill.settings.endpoints.limits import PoolLimits
from threadmill.settings.endpoints.pool_name import pool_name
from threadmill.store import scripts
from threadmill.store.records.pool import _MEASURED_S, PoolRecord

NOW = datetime(2026, 11, 28, 6, tzinfo=UTC)
NAME = pool_name("davinci", "meta/llama", "KEY_1")


def after(seconds):
    return str(NOW.timestamp() + seconds)


def pool(fields=None, **more):
    return PoolRecord.read(NAME, NOW, fields or {}, **more)


def test_the_name_has_endpoint_model_and_key():
    found = pool()
    assert (found.endpoint, found.model, found.key) == ("davinci", "meta/llama", "KEY_1")
    assert found.label == "davinci/meta/llama@KEY_1"
    assert PoolRecord.read("davinci", NOW, {}).label == "davinci"


def test_an_open_pool_holds_no_job_back():
    found = pool({"set_requests_per_minute": "1200"}, waiting=3)
    assert (found.is_open, found.wait_reason, found.state) == (True, None, "open")
    assert pool().state == "not used"


def test_a_shut_pool_says_for_how_long_and_why():
    found = pool({"shut_until": after(11.2), "shut_reason": "429 Rate limit reached"}, waiting=3, limited=3)
    assert not found.is_open
    assert found.state == found.wait_reason == "shut for 12 s: 429 Rate limit reached"
    assert found.shut_until == NOW + timedelta(seconds=11.2)


def test_a_pool_opens_when_its_time_has_come():
    found = pool({"shut_until": after(-0.1), "shut_reason": "429 Rate limit reached"})
    assert (found.is_open, found.shut_until, found.shut_reason) == (True, None, None)


@pytest.mark.parametrize(("reason", "shown"), [("maintenance", "paused: maintenance"), ("", "paused")])
def test_a_paused_pool_says_so_first(reason, shown):
    found = pool({"shut_until": after(9)}, paused=reason)
    assert (found.is_open, found.wait_reason) == (False, shown)


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({}, "at its limit"),
        ({"set_requests_per_minute": "1200.0", "requests_tat": after(1.5)}, "at its limit of 1,200 requests a minute"),
        ({"set_requests_per_minute": "0.5"}, "at its limit of 0.5 requests a minute"),
        (
            {"learned_requests": "60", "learned_tokens": "90000", "requests_tat": after(1), "tokens_tat": after(2)},
            "at its limit of 90,000 tokens a minute",
        ),
        ({"set_concurrent": "50", "set_requests_per_minute": "60"}, "at its limit of 50 jobs at a time"),
    ],
)
def test_a_pool_whose_jobs_wait_names_the_limit(fields, shown):
    found = pool(fields, jobs=50, waiting=9, limited=9)
    assert (found.is_open, found.wait_reason) == (True, shown)


@pytest.mark.parametrize(
    ("fields", "per_minute", "source"),
    [
        ({"set_requests_per_minute": "60", "learned_requests": "50", "rate": "0.1"}, 60, "settings"),
        ({"learned_requests": "60"}, 60, "headers"),
        ({"learned_requests": "60", "rate": "4"}, 60, "headers"),
        ({"learned_requests": "60", "rate": "0.5"}, 30, "refusals"),
        ({"rate": "0.5"}, 30, "refusals"),
    ],
)
def test_the_limit_of_requests_that_applies(fields, per_minute, source):
    limit = pool(fields).requests
    assert (limit.per_minute, limit.source) == (per_minute, source)


@pytest.mark.parametrize(
    ("fields", "at_a_time", "source"),
    [
        ({"set_concurrent": "50", "number": "60"}, 50, "settings"),
        ({"number": "60.8"}, 61, "refusals"),
        ({"number": "60.8", "rate": "2"}, None, None),
        ({"number": "60.8", "learned_requests": "60"}, None, None),
        ({}, None, None),
    ],
)
def test_the_limit_of_jobs_at_a_time_that_applies(fields, at_a_time, source):
    found = pool(fields)
    assert (found.concurrent, found.concurrent_source) == (at_a_time, source)


def test_a_row_is_as_long_as_its_last_start_has_to_wait():
    found = pool({"set_requests_per_minute": "60", "set_tokens_per_minute": "900", "requests_tat": after(3)})
    assert (found.requests.row_s, found.tokens.row_s) == (3, 0)


def test_the_measured_rate_falls_while_nothing_is_started():
    fields = {"accepted_rate": "2.5", "accepted_at": after(0)}
    assert pool(fields).starts_per_minute == 150
    assert 50 < pool(fields | {"accepted_at": after(-1)}).starts_per_minute < 60
    assert pool(fields | {"accepted_at": after(-60)}).starts_per_minute < 1e-9


def test_the_rate_falls_as_in_the_scripts():
    tuning = (Path(scripts.__file__).parent / "lua" / "include" / "tuning.lua").read_text("utf-8")
    assert float(re.search(r"\bMEASURED_S = ([\d.]+)", tuning)[1]) == _MEASURED_S


@pytest.mark.parametrize("number", ["nan", "inf", "many", ""])
def test_a_damaged_number_counts_as_absent(number):
    fields = dict.fromkeys(
        ("rate", "set_concurrent", "shut_until", "requests_tat", "refused", "learned_tokens"), number
    )
    assert pool(fields) == pool()


def test_an_unused_pool_has_the_limits_of_the_settings():
    found = PoolRecord.unused(NAME, NOW, PoolLimits(requests_per_minute=0.5, tokens_per_minute=9000, concurrent=7))
    assert (found.requests.per_minute, found.tokens.per_minute, found.concurrent) == (0.5, 9000, 7)
    assert (found.requests.source, found.state) == ("settings", "not used")
    assert PoolRecord.unused(NAME, NOW, PoolLimits()).requests is None
