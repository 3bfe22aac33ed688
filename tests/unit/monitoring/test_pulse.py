"""The pulse of an event loop, with a clock of its own."""

from threadmill_worker.monitoring import pulse
from threadmill_worker.monitoring.pulse import BEAT_S, Pulse


async def test_a_late_beat_is_a_lag(monkeypatch):
    now = [0.0]
    late_s = iter([0.0, 3.0, 0.0])

    async def sleep(seconds):
        now[0] += seconds + next(late_s)

    measured = Pulse(lambda: now[0])
    monkeypatch.setattr(pulse.asyncio, "sleep", sleep)
    for _ in range(3):
        await measured.beat()
    assert measured.lag_s == 3.0
    assert measured.silent_s == 0.0


def test_a_loop_that_is_blocked_now_lags():
    now = [0.0]
    measured = Pulse(lambda: now[0])
    now[0] = BEAT_S + 4
    assert measured.silent_s == BEAT_S + 4
    assert measured.lag_s == 4
