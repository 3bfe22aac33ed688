"""The waits before a process is started again."""

from threadmill_worker.supervisor.backoff import Backoff


def test_the_wait_doubles_up_to_half_a_minute():
    backoff = Backoff()
    assert [backoff.after(lived_s=2) for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]


def test_after_a_minute_of_life_it_begins_anew():
    backoff = Backoff()
    for _ in range(4):
        backoff.after(lived_s=2)
    assert [backoff.after(lived_s=60), backoff.after(lived_s=59)] == [1, 2]
