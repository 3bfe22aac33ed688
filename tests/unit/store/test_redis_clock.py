"""Redis' time as a worker estimates it, whatever its own clocks and the network do."""

import asyncio
from dataclasses import dataclass, field

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from threadmill_worker.store.redis_clock import RedisClock

NOON = 1_800_000_000.0


@dataclass
class World:
    """A machine and a Redis, both with clocks of their own. Time passes only where a test says so."""

    seconds: float = 0.0  #: that have passed
    redis_ahead_s: float = NOON  #: of the seconds passed
    wall_ahead_s: float = 0.0  #: of Redis
    request_s: float = 0.001
    reply_s: float = 0.001
    asked: int = field(default=0, init=False)

    async def time(self) -> tuple[int, int]:
        """What Redis replies to TIME."""
        self.asked += 1
        self.seconds += self.request_s
        moment = self.redis()
        self.seconds += self.reply_s
        return int(moment), int(moment % 1 * 1e6)

    def redis(self) -> float:
        return self.seconds + self.redis_ahead_s

    def wall(self) -> float:
        return self.redis() + self.wall_ahead_s

    def clock(self) -> RedisClock:
        return RedisClock(self, ticks=lambda: self.seconds + 12345, wall=self.wall)  # type: ignore[arg-type]

    def read(self, clock: RedisClock, request_s: float = 0.001, reply_s: float = 0.001) -> None:
        """One heartbeat."""
        self.seconds += 1
        self.request_s, self.reply_s = request_s, reply_s
        asyncio.run(clock.synchronise())


#: Seconds that a request and its reply take.
QUICK = st.tuples(*[st.sampled_from([0.0, 0.0002, 0.004])] * 2)
TRIPS = st.tuples(*[st.sampled_from([0.0, 0.0002, 0.004, 0.3, 2.5, 30.0])] * 2)


@given(st.floats(-1e6, 1e6), st.lists(TRIPS, min_size=1, max_size=40))
def test_its_error_is_at_most_half_the_shortest_recent_round_trip(wall_ahead_s, trips):
    world = World(wall_ahead_s=wall_ahead_s)
    clock = world.clock()
    for request_s, reply_s in trips:
        world.read(clock, request_s, reply_s)
        world.seconds += 0.7
        world.wall_ahead_s *= -1  # NTP sets our clock, which must not matter
    shortest_s = min(sum(trip) for trip in trips[-30:])
    assert abs(clock.now() - world.redis()) <= shortest_s / 2 + 1e-3
    assert clock.skew_s == (pytest.approx(world.wall_ahead_s, abs=shortest_s + 1e-3) if shortest_s <= 1 else 0)


@given(st.lists(TRIPS, min_size=1, max_size=10), st.floats(-1e5, 1e5), st.lists(QUICK, min_size=3, max_size=10))
def test_a_jump_of_redis_time_is_followed_after_three_quick_readings(before, jump_s, after):
    world = World()
    clock = world.clock()
    for trip in before:
        world.read(clock, *trip)
    world.redis_ahead_s += jump_s  # a failover, or our ticks stopped with the whole machine
    for trip in after:
        world.read(clock, *trip)
    assert abs(clock.now() - world.redis()) <= 0.08, "a jump shorter than that may be drift"


def test_one_odd_reading_changes_nothing():
    world = World()
    clock = world.clock()
    world.read(clock)
    for odd_s in (60.0, -60.0, 3600.0):  # each of another opinion
        world.redis_ahead_s += odd_s
        world.read(clock)
        world.redis_ahead_s -= odd_s
    assert clock.now() == pytest.approx(world.redis(), abs=0.01)
    world.read(clock)
    assert clock.now() == pytest.approx(world.redis(), abs=0.01)


def test_until_the_first_reading_it_shows_the_time_of_this_machine():
    world = World(wall_ahead_s=60)
    clock = world.clock()
    assert clock.now() == world.wall()
    assert clock.skew_s == 0
    asyncio.run(clock.ready())
    asyncio.run(clock.ready())
    assert clock.now() == pytest.approx(world.redis(), abs=0.01)
    assert world.asked == 1
    assert clock.moment().timestamp() == pytest.approx(clock.now())


def test_a_skew_above_a_second_is_logged_whenever_it_changes():
    world = World(wall_ahead_s=0.9)
    clock = world.clock()
    with structlog.testing.capture_logs() as logged:
        for wall_ahead_s in (0.9, 60, 60.4, -5, -0.4):
            world.wall_ahead_s = wall_ahead_s
            world.read(clock)
            world.read(clock)
    said = [(entry["event"], entry["log_level"], round(entry["skew_s"], 1)) for entry in logged]
    assert said == [("clock skew", "warning", 60.0), ("clock skew", "warning", -5.0), ("clock skew gone", "info", -0.4)]
    assert "NTP" in logged[0]["remedy"]
    assert logged[0]["machine"]


@pytest.mark.parametrize(("jump_s", "lines"), [(90.0, 1), (0.5, 0)])
def test_a_jump_of_more_than_a_second_is_logged(jump_s, lines):
    world = World()
    clock = world.clock()
    world.read(clock)
    world.redis_ahead_s += jump_s
    with structlog.testing.capture_logs() as logged:
        for _ in range(5):
            world.read(clock)
    jumps = [entry for entry in logged if entry["event"] == "Redis' time jumped"]
    assert len(jumps) == lines
    assert clock.now() == pytest.approx(world.redis(), abs=0.01)
