"""When a worker may take the leases of others for those of dead workers, and itself for one that gets no jobs."""

import pytest

from threadmill.settings.settings import Settings
from threadmill_worker.maintenance.heartbeats import Heartbeats
from threadmill_worker.maintenance.sweep import RENEWAL_GRACE_S, Sweep


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def beat_for(heartbeats: Heartbeats, clock: Clock, seconds: float, every_s: float = 1) -> None:
    for _ in range(int(seconds / every_s)):
        clock.now += every_s
        heartbeats.record()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def heartbeats(clock):
    return Heartbeats(30, clock)


def test_it_is_stable_while_heartbeats_arrive(heartbeats, clock):
    beat_for(heartbeats, clock, 60)
    assert (heartbeats.stable_s, heartbeats.silent_s) == (60, 0)


def test_a_short_outage_in_which_no_lease_expires_does_not_matter(heartbeats, clock):
    beat_for(heartbeats, clock, 60)
    clock.now += 19
    heartbeats.record()
    assert heartbeats.stable_s == 79


def test_after_a_long_outage_it_is_stable_only_after_the_first_heartbeat(heartbeats, clock):
    beat_for(heartbeats, clock, 60)
    clock.now += 90
    assert (heartbeats.stable_s, heartbeats.silent_s) == (0, 90)
    heartbeats.record()
    assert heartbeats.stable_s == 0
    beat_for(heartbeats, clock, 7)
    assert heartbeats.stable_s == 7


class Records:
    """Redis has just come back from a pause: it is up, and every lease has expired."""

    def __init__(self) -> None:
        self.rescues = 0

    async def may_sweep(self, for_s: float) -> bool:
        return True

    async def uptime_s(self) -> float:
        return 1e6

    async def rescue(self, interruptions: int) -> list[tuple[str, int]]:
        self.rescues += 1
        return []

    async def undelivered(self, for_s: float) -> list[str]:
        return []

    async def adopt(self, after: str) -> tuple[str, list[str]]:
        return "0", []

    async def forget_expired_threads(self) -> None:
        pass


async def test_no_job_is_rescued_before_living_workers_could_renew_leases(heartbeats, clock):
    records = Records()
    sweep = Sweep(Settings(lease_s=30), records, None, heartbeats)
    beat_for(heartbeats, clock, 60)
    clock.now += 90
    await sweep.once()
    heartbeats.record()
    await sweep.once()
    assert records.rescues == 0

    beat_for(heartbeats, clock, RENEWAL_GRACE_S)
    await sweep.once()
    assert records.rescues == 1
