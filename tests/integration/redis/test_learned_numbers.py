"""The number of jobs at a time that the limiter learns from refusals."""

import pytest
from scripts.simulated_fleet import Fleet, Server
from tests.limiter_in_redis import RedisLimiter
from tests.limiter_model import Model, Wait, tuning

pytestmark = pytest.mark.integration

TUNING = tuning()
SHOWN = "as many jobs run as the server takes"


@pytest.fixture
def pool(store):
    limiter = RedisLimiter(store)
    yield limiter
    limiter.delete()


@pytest.fixture
def start(pool, store):
    """Lets jobs start."""

    def start(*jobs, **limits):
        for job in jobs:
            store.hset(pool.keys.record(job), "state", "running")
            pool.now += 0.01
            assert pool.acquire(job, **limits) is None

    return start


@pytest.fixture
def guess(pool, start):
    """Lets the server refuse the fifth job, `e`, while `abcd` run."""

    def guess(**limits):
        start(*"abcde", **limits)
        pool.tell("e", "refused")
        return pool.acquire("e", **limits)

    return guess


class Both:
    """The scripts and the model, with the same calls."""

    def __init__(self, pool):
        self.pool, self.began_at, self.model = pool, pool.now, Model()

    def acquire(self, now, job, ticket=None):
        self._set_time(now)
        lua_ticket = f"{ticket[0]} {ticket[1]:.6f}" if ticket else ""
        reply, wait = self.pool.acquire(job, ticket=lua_ticket), self.model.acquire(self.pool.now, job, ticket)
        if wait is None:
            assert reply is None
            return None
        assert reply is not None
        assert (reply[0], reply[1]) == (pytest.approx(max(wait.at - self.pool.now, 0.001), abs=1e-4), wait.reason)
        return Wait(wait.at - self.began_at, wait.reason, wait.ticket)

    def tell(self, now, job, kind, sent_at):
        self._set_time(now)
        sent_at = round(self.began_at + sent_at, 6)
        self.pool.tell(job, kind, sent_at=sent_at)
        self.model.tell(self.pool.now, job, kind, sent_at=sent_at)
        for field in ("number", "guessed", "tests", "contradictions", "rate"):
            assert float(self.pool.state().get(field, 0)) == pytest.approx(getattr(self.model, field) or 0, abs=1e-3)

    def leave(self, now, job):
        self._set_time(now)
        self.pool.leave(job)
        self.model.leave(self.pool.now, job)

    def may_dispatch(self, now):
        self._set_time(now)
        may = self.pool.may_dispatch()
        assert may == self.model.may_dispatch(self.pool.now)
        return may

    def dispatched(self, now, job):
        self._set_time(now)
        self.pool.dispatched(job)
        self.model.dispatched(self.pool.now, job)

    def _set_time(self, now):
        self.pool.now = round(self.began_at + now, 6)


@pytest.mark.parametrize("server", [Server(places=6, place_changes=[(6, 3)]), Server(rate=5, burst=5)])
@pytest.mark.parametrize("is_call", [True, False])
def test_the_scripts_learn_what_the_model_learns(pool, store, server, is_call):
    both = Both(pool)
    for job in range(100):
        store.hset(pool.keys.record(f"j{job}"), "state", "running")
    Fleet(both, server, jobs=100, slots=20, rtt_s=0.02, run_s=0.5, is_call=is_call).run()
    assert (both.model.number is None) == (server.rate == 5)


def test_a_refusal_names_the_jobs_that_had_started(pool, guess):
    assert guess()[1] == SHOWN
    assert float(pool.state()["number"]) == 4
    assert pool.acquire("f")[1] == SHOWN
    pool.leave("a")
    assert pool.acquire("e") is None


def test_refusals_on_their_way_lower_the_guess(pool, guess):
    guess()
    pool.tell("d", "refused", sent_at=pool.now - 0.01)
    assert float(pool.state()["number"]) == 3


def test_the_next_permit_is_for_a_job_that_has_a_slot(pool, guess):
    guess()
    pool.leave("a")
    assert not pool.may_dispatch()
    assert pool.acquire("e") is None
    pool.leave("b")
    pool.now += TUNING.ASK_CONCURRENT_S + TUNING.ASKED_S
    assert pool.may_dispatch()


def test_accepted_starts_above_the_guess_show_a_rate(pool, guess, start):
    guess()
    pool.now += TUNING.PAUSE_S
    start("f")
    pool.tell("f", "accepted")
    assert (pool.state()["number"], "rate" in pool.state()) == ("5", False)
    start("g")
    pool.tell("g", "accepted")
    state = pool.state()
    assert ("number" in state, float(state["rate"])) == (False, TUNING.FIRST_RATE)


def test_a_start_above_the_guess_without_a_reply_counts_as_accepted(pool, guess, start):
    guess()
    pool.now += TUNING.PAUSE_S
    start("f")
    pool.now += TUNING.UNANSWERED_S
    pool.may_dispatch()
    assert pool.state()["number"] == "5"


def test_refusals_far_below_the_guess_show_a_rate(pool, guess, start):
    guess()
    for job in "abc":
        pool.leave(job)
    pool.now += 0.1
    start("f")
    pool.tell("f", "refused")
    assert "number" not in pool.state()
    assert float(pool.state()["rate"]) >= TUNING.FIRST_RATE


@pytest.mark.parametrize("limits", [{"concurrent": 9}, {"requests_per_minute": 60_000}, {"learn": False}])
def test_no_number_is_learned_beside_limits_that_are_set(pool, guess, limits):
    guess(**limits)
    assert "number" not in pool.state()


def test_no_number_is_learned_from_a_server_that_names_a_time(pool, start):
    start(*"abc")
    pool.tell("c", "refused", delay_s=2)
    assert "number" not in pool.state()


def test_a_number_gives_way_to_a_limit_that_is_set_or_named(pool, guess, start):
    guess()
    start("f", concurrent=6)
    assert "number" not in pool.state()


def test_a_number_gives_way_to_headers(pool, guess, start):
    guess()
    pool.tell("a", "accepted", requests_limit=6000, requests_remaining=5000, requests_reset_s=10)
    start("f")


def test_a_job_whose_run_goes_on_keeps_its_permit(pool, guess, start):
    guess()
    start("a")
    pool.tell("a", "refused", sent_at=pool.now - 1)
    assert pool.acquire("e")[1] == SHOWN
    start("a")


def test_a_worker_of_an_earlier_version_may_learn_a_rate_instead(pool, guess, start, store):
    """It knows no number: its refusal begins the slow start."""
    guess()
    store.hset(pool.keys.pool("p"), mapping={"mode": "slow", "rate": 2, "window": 9})
    start("f")
