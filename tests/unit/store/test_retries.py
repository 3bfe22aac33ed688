"""When producers call Redis again while it is unavailable."""

import pytest

from threadmill.errors import StoreRefused, StoreUnavailable
from threadmill.store import connection
from threadmill.store.connection import Retries

AWAY = StoreUnavailable("redis://h", "is away")


@pytest.fixture
def clock(monkeypatch):
    """A clock that each pause advances."""
    now = [1000.0]
    monkeypatch.setattr(connection.time, "monotonic", lambda: now[0])
    return now


def pauses(retries, clock):
    while (pause_s := retries.pause_after(AWAY)) is not None:
        yield pause_s
        clock[0] += pause_s


def test_the_pauses_grow_until_the_tolerance_is_used_up(clock):
    retries = Retries(8)
    clock[0] += 100  # what matters is the time since the first error
    assert list(pauses(retries, clock)) == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0])


def test_no_retry_comes_after_the_caller_wants_to_stop(clock):
    assert list(pauses(Retries(8, stop_at=clock[0] + 0.5), clock)) == pytest.approx([0.1, 0.2])


def test_a_refusal_is_not_repeated():
    assert Retries(8).pause_after(StoreRefused("redis://h", "refuses us")) is None
