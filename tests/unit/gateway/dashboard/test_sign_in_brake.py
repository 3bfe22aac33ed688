"""Who tries keys is slowed down, and nobody else."""

import pytest

from threadmill_gateway.dashboard import sign_in_brake
from threadmill_gateway.dashboard.sign_in_brake import BURST, EVERY_S, SignInBrake


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def brake(clock):
    return SignInBrake(clock)


def test_some_wrong_keys_cost_no_wait(brake):
    for _ in range(BURST - 1):
        brake.count("192.0.2.1")
    assert brake.wait_s("192.0.2.1") == 0


def test_then_one_is_allowed_in_a_while(brake, clock):
    for _ in range(BURST):
        brake.count("192.0.2.1")
    assert brake.wait_s("192.0.2.1") == pytest.approx(EVERY_S)
    clock.now += EVERY_S
    assert brake.wait_s("192.0.2.1") == 0
    brake.count("192.0.2.1")
    assert brake.wait_s("192.0.2.1") == pytest.approx(EVERY_S)
    clock.now += BURST * EVERY_S
    assert brake.wait_s("192.0.2.1") == 0


@pytest.mark.parametrize(
    ("guilty", "other", "waits"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff", True),  # one person has a /64 network
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("", "", True),
    ],
)
def test_others_do_not_wait(brake, guilty, other, waits):
    for _ in range(BURST):
        brake.count(guilty)
    assert (brake.wait_s(other) > 0) is waits


def test_the_number_of_addresses_is_limited(brake, monkeypatch):
    monkeypatch.setattr(sign_in_brake, "_REMEMBERED", 3)
    for address in ("a", "b", "a", "c", "d"):
        for _ in range(BURST):
            brake.count(address)
    assert [brake.wait_s(address) > 0 for address in ("a", "b", "c", "d")] == [True, False, True, True]
