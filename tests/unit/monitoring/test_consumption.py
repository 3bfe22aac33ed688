"""A consumer is deaf if it has taken no messages for a time, although it could."""

from threadmill_worker.monitoring.consumption import Consumption


class Watched:
    """A consumer and its clock."""

    def __init__(self):
        self.now = 100.0
        self.heard_at = None
        self.consumption = Consumption(lambda: self.heard_at, 15.0, lambda: self.now)

    def pass_by(self, seconds, *, hears=False, has_free_slot=True):
        for _ in range(seconds):
            self.now += 1
            if hears:
                self.heard_at = self.now
            self.consumption.look(has_free_slot=has_free_slot)

    @property
    def is_consuming(self):
        return self.consumption.is_consuming


def test_nothing_is_known_at_the_start():
    assert Watched().is_consuming is None


def test_a_consumer_that_hears_is_consuming():
    watched = Watched()
    watched.pass_by(60, hears=True)
    assert watched.is_consuming is True


def test_one_that_never_hears_is_deaf():
    watched = Watched()
    watched.pass_by(15)
    assert watched.is_consuming is None
    watched.pass_by(1)
    assert watched.is_consuming is False


def test_a_silence_is_deafness_until_it_hears_again():
    watched = Watched()
    watched.pass_by(5, hears=True)
    watched.pass_by(15)
    assert watched.is_consuming is True
    watched.pass_by(5)
    assert watched.is_consuming is False
    assert watched.consumption.silent_s == 20
    watched.pass_by(1, hears=True)
    assert watched.is_consuming is True


def test_full_slots_excuse_a_silence():
    watched = Watched()
    watched.pass_by(5, hears=True)
    watched.pass_by(100, has_free_slot=False)
    assert watched.is_consuming is True
    watched.pass_by(16)
    assert watched.is_consuming is False


def test_an_outage_of_redis_excuses_a_silence():
    watched = Watched()
    watched.pass_by(5, hears=True)
    watched.now += 100
    assert watched.is_consuming is None, "nobody looks while Redis is away"
    watched.pass_by(15)
    assert watched.is_consuming is True
    watched.pass_by(2)
    assert watched.is_consuming is False
