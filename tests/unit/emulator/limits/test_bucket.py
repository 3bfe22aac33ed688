"""The token bucket, by a clock of its own."""

import pytest

from threadmill_emulator.limits.bucket import Bucket


def taken(bucket: Bucket, now: float, amount: float = 1) -> bool:
    bucket.fill(now)
    if bucket.wait_s(amount):
        return False
    bucket.take(amount)
    return True


def test_a_bucket_gives_its_store_at_once_and_then_its_rate():
    bucket = Bucket(per_minute=600, burst_s=1, now=100)
    assert [taken(bucket, 100) for _ in range(11)] == [True] * 10 + [False]
    assert bucket.wait_s(1) == pytest.approx(0.1, abs=1e-3)
    assert [taken(bucket, 100.1), taken(bucket, 100.1), taken(bucket, 100.2)] == [True, False, True]


def test_a_pause_refills_no_more_than_the_store():
    bucket = Bucket(per_minute=600, burst_s=1, now=0)
    assert sum(taken(bucket, 3600) for _ in range(20)) == 10


def test_who_waits_as_long_as_told_is_not_refused_again():
    bucket, now = Bucket(per_minute=1234, burst_s=0.01, now=0.0), 1e9
    for _ in range(1000):
        bucket.fill(now)
        now += bucket.wait_s(1)
        assert taken(bucket, now)


def test_an_amount_above_the_store_needs_a_full_bucket_and_leaves_a_debt():
    bucket = Bucket(per_minute=60, burst_s=5, now=0)
    assert taken(bucket, 0, 20)
    assert bucket.level == -15
    assert (bucket.remaining, bucket.wait_s(1)) == (40, pytest.approx(16, abs=1e-3))


def test_a_debt_is_at_most_one_minute():
    bucket = Bucket(per_minute=60, burst_s=1, now=0)
    for _ in range(1000):
        bucket.take(1)
    assert bucket.level == -60


def test_a_changed_limit_forgets_nothing_that_was_used():
    bucket = Bucket(per_minute=600, burst_s=1, now=0)
    assert taken(bucket, 0, 10)
    bucket.change(per_minute=1200, burst_s=1, now=0)
    assert not taken(bucket, 0)
    assert taken(bucket, 0.05)
    assert (bucket.capacity, bucket.per_second) == (20, 20)
