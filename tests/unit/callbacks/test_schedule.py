"""When a callback is tried again."""

from threadmill_worker.callbacks.schedule import DELAYS_S, delay_s


def test_the_attempts_take_about_a_day():
    assert 0.9 * 86_400 < sum(DELAYS_S) < 1.3 * 86_400
    assert [delay_s(attempt, 0.5) for attempt in range(1, 9)] == [*DELAYS_S, None]


def test_each_delay_differs_by_chance():
    assert (delay_s(2, 0.0), delay_s(2, 1.0)) == (150, 450)


def test_the_receiver_can_ask_for_a_longer_delay_up_to_the_longest():
    assert delay_s(1, 0.5, retry_after_s=600) == 600
    assert delay_s(2, 0.5, retry_after_s=1) == 300
    assert delay_s(1, 0.5, retry_after_s=1e9) == DELAYS_S[-1]
