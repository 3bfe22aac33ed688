"""Histograms of durations and tokens."""

import math

import pytest

from threadmill.store.records.histogram import DURATIONS_S, TOKENS, Bucket, bound, histogram, quantile


@pytest.mark.parametrize(
    ("value", "bounds", "found"),
    [
        (0, DURATIONS_S, 0.1),
        (0.1, DURATIONS_S, 0.1),
        (0.11, DURATIONS_S, 0.2),
        (86_400, DURATIONS_S, 86_400),
        (86_401, DURATIONS_S, math.inf),
        (1, TOKENS, 10),
        (1_000_000, TOKENS, 1_000_000),
        (1_000_001, TOKENS, math.inf),
    ],
)
def test_a_value_belongs_to_the_first_bound_that_is_not_less(value, bounds, found):
    assert bound(value, bounds) == found


def test_bounds_rise_from_a_tenth_of_a_second_to_a_day_and_from_ten_tokens_to_a_million():
    assert (DURATIONS_S[0], DURATIONS_S[-1], TOKENS[0], TOKENS[-1]) == (0.1, 86_400, 10, 1_000_000)
    assert list(DURATIONS_S) == sorted(set(DURATIONS_S))
    assert list(TOKENS) == sorted(set(TOKENS))


def test_a_histogram_has_the_empty_buckets_between_those_with_jobs():
    assert histogram({}, TOKENS) == ()
    assert histogram({20: 3, 100: 1}, TOKENS) == (Bucket(10, 20, 3), Bucket(20, 50, 0), Bucket(50, 100, 1))
    assert histogram({math.inf: 2}, TOKENS) == (Bucket(1_000_000, None, 2),)


def test_a_bound_of_another_version_has_a_bucket_of_its_own():
    assert histogram({30: 1, 50: 2}, TOKENS) == (Bucket(20, 30, 1), Bucket(30, 50, 2))


@pytest.mark.parametrize(("share", "found"), [(0.0, 20), (0.5, 20), (0.76, 100), (1.0, 100)])
def test_a_quantile_is_the_bound_of_its_bucket(share, found):
    assert quantile(histogram({20: 3, 100: 1}, TOKENS), share) == found


def test_a_quantile_above_all_bounds_is_infinite_and_one_of_no_jobs_unknown():
    assert quantile(histogram({math.inf: 1}, TOKENS), 0.5) == math.inf
    assert quantile((), 0.5) is None
