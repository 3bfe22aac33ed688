"""The limiter against a simulated server: an unknown limit is found, kept, and followed when it changes."""

import pytest
from scripts.bench_limits_simulation import Case, PlacesCase, follow
from tests.limiter_model import tuning


@pytest.mark.parametrize("counts_refused", [False, True])
def test_an_unknown_limit_is_used_with_few_refusals(counts_refused):
    share, refusals, _ = Case(rate=20, burst_s=1, counts_refused=counts_refused, rtt_s=0.02).run(tuning())
    assert share >= 0.85
    assert refusals <= 0.3


@pytest.mark.parametrize("rate", [1, 2])
def test_low_limits_are_found_too(rate):
    share, refusals, _ = Case(rate=rate, burst_s=0, counts_refused=True, rtt_s=0.02).run(tuning())
    assert share >= 0.5
    assert refusals <= 0.5


def test_the_limit_of_headers_is_used_without_refusals():
    share, refusals, _ = Case(20, 1, counts_refused=True, rtt_s=0.02, has_headers=True, gives_delay=True).run(tuning())
    assert share >= 0.95
    assert refusals <= 0.02


def test_a_limit_that_is_set_costs_one_ask_a_job():
    share, refusals, asks = Case(20, 1, counts_refused=True, rtt_s=0.02, set_share=1).run(tuning())
    assert share >= 0.95
    assert refusals == 0
    assert asks <= 1


@pytest.mark.parametrize(
    "case",
    [
        PlacesCase(64),
        PlacesCase(64, is_call=False),
        PlacesCase(64, run_s=5, spread=0.8),
        PlacesCase(64, changed=32, jobs=2000),
        PlacesCase(64, changed=128, jobs=2000),
        PlacesCase(4, run_s=60, jobs=400),
        PlacesCase(1, jobs=200),
    ],
    ids=lambda case: case.name,
)
def test_the_jobs_that_a_server_takes_at_a_time_are_found_and_followed(case):
    share, refusals, _ = case.run(tuning())
    assert share >= 0.85
    assert refusals <= 0.15


@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize("run_s", [0.5, 2])
def test_a_rate_is_found_whatever_a_run_is(is_call, run_s):
    share, refusals, _ = PlacesCase(1_000_000, run_s, is_call, rate=20, jobs=1200).run(tuning())
    assert share >= 0.85
    assert refusals <= 0.1


@pytest.mark.parametrize("rtt_s", [0.02, 0.3])
def test_a_limit_that_is_halved_and_doubled_is_followed_within_30_seconds(rtt_s):
    halved, doubled = follow(tuning(), rtt_s)
    assert halved is not None
    assert doubled is not None
    assert max(halved, doubled) < 30
