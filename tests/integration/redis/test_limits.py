"""The limiter: rows, tickets, permits, refusals, and what is learned from replies."""

from itertools import pairwise

import pytest
from tests.limiter_in_redis import RedisLimiter
from tests.limiter_model import tuning

pytestmark = pytest.mark.integration


@pytest.fixture
def pool(store):
    limiter = RedisLimiter(store)
    yield limiter
    limiter.delete()


def starts_within(pool, seconds, jobs, **start):
    """Lets jobs ask until they may start. Returns the times of the starts, from 0."""
    begin, asks, started = pool.now, [(pool.now, f"j{n}", "") for n in range(jobs)], []
    while asks and asks[0][0] <= begin + seconds:
        pool.now, job, ticket = asks.pop(0)
        reply = pool.acquire(job, ticket=ticket, **start)
        if reply is None:
            started.append(pool.now - begin)
        else:
            asks = sorted([*asks, (pool.now + reply[0], job, reply[2])])
    return started


def test_a_limit_spreads_the_starts(pool):
    times = starts_within(pool, 60, 200, requests_per_minute=1200)
    assert len(times) == 200
    assert max(times) == pytest.approx(199 / 20, abs=0.1)
    assert all(later - earlier >= 0.049 for earlier, later in pairwise(times))


def test_one_request_a_minute(pool):
    assert starts_within(pool, 150, 5, requests_per_minute=1) == pytest.approx([0, 60, 120])


def test_a_refused_start_waits_once(pool):
    assert pool.acquire("a", requests_per_minute=60) is None
    delay_s, reason, ticket = pool.acquire("b", requests_per_minute=60)
    assert (delay_s, reason) == (pytest.approx(1, abs=0.3), "requests_per_minute")
    pool.now += delay_s
    assert pool.acquire("b", ticket=ticket, requests_per_minute=60) is None


def test_a_ticket_that_comes_late_is_void(pool):
    pool.acquire("a", requests_per_minute=60)
    delay_s, _, ticket = pool.acquire("b", requests_per_minute=60)
    pool.acquire("c", requests_per_minute=60)
    pool.now += delay_s + 1.1
    assert pool.acquire("b", ticket=ticket, requests_per_minute=60) is not None


def test_a_start_takes_from_all_limits_or_from_none(pool):
    limits = {"requests_per_minute": 60, "tokens_per_minute": 600}
    assert pool.acquire("a", tokens=100, **limits) is None
    before = pool.state()["requests_spent"]
    delay_s, reason, _ = pool.acquire("b", tokens=100, **limits)
    assert (delay_s, reason) == (pytest.approx(10, abs=0.3), "tokens_per_minute")
    assert pool.state()["requests_spent"] == before


def test_tokens_are_settled_by_usage(pool):
    pool.acquire("a", tokens=100, tokens_per_minute=600)
    pool.leave("a", tokens_used=50)
    assert pool.acquire("b", tokens=100, tokens_per_minute=600)[0] == pytest.approx(5, abs=0.3)


def test_only_so_many_jobs_run_at_the_same_time(pool, store):
    for job in "ab":
        store.hset(pool.keys.record(job), "state", "running")
    assert [pool.acquire(job, concurrent=2) for job in "ab"] == [None, None]
    assert pool.acquire("c", concurrent=2)[1] == "concurrent"
    assert pool.acquire("a", concurrent=2) is None
    pool.leave("a")
    assert pool.acquire("c", concurrent=2) is None


def test_permits_of_jobs_without_a_record_are_found(pool):
    assert [pool.acquire(job, concurrent=2) for job in "ab"] == [None, None]
    assert pool.acquire("c", concurrent=2) is None


def test_jobs_dispatched_before_the_limit_was_known_do_not_exceed_it(pool):
    for job in "abc":
        pool.dispatched(job)
    replies = [pool.acquire(job, concurrent=1) for job in "abc"]
    assert replies.count(None) == 1


def test_a_refusal_shuts_the_pool_and_one_probe_opens_it(pool):
    limits = {"requests_per_minute": 6000}
    pool.acquire("a", **limits)
    pool.tell("a", "refused", delay_s=7, reason="slow down")
    delay_s, reason, ticket = pool.acquire("b", **limits)
    assert (delay_s, reason) == (pytest.approx(7), "the server: slow down")
    pool.now += 7
    assert pool.acquire("b", ticket=ticket, **limits) is None
    assert pool.acquire("c", **limits) is not None
    pool.now += 0.05
    pool.tell("b", "accepted")
    assert pool.acquire("d", **limits) is None


def test_a_refusal_voids_tickets(pool):
    pool.acquire("a", requests_per_minute=60)
    delay_s, _, ticket = pool.acquire("b", requests_per_minute=60)
    pool.tell("a", "refused", delay_s=0.1)
    pool.now += delay_s
    pool.acquire("c", requests_per_minute=60)
    assert pool.acquire("b", ticket=ticket, requests_per_minute=60) is not None


def test_without_limits_only_starts_without_a_reply_are_bounded(pool):
    replies = [pool.acquire(f"j{n}") for n in range(40)]
    assert replies.count(None) == 8
    for n in range(8):
        pool.tell(f"j{n}", "accepted")
    assert [pool.acquire(f"k{n}") for n in range(40)].count(None) == 16
    pool.now += 1
    assert pool.acquire("l") is None


def test_the_limit_of_headers_is_learned(pool):
    pool.acquire("a")
    pool.tell("a", "accepted", requests_limit=60, requests_remaining=59, requests_reset_s=1)
    assert len(starts_within(pool, 10, 100)) == pytest.approx(10, abs=1)


def test_a_limit_per_day_is_not_taken_for_one_per_minute(pool):
    pool.tell("a", "accepted", requests_limit=200, requests_remaining=100, requests_reset_s=43200)
    assert "learned_requests" not in pool.state()


def test_nothing_left_waits_for_the_reset(pool):
    pool.tell("a", "accepted", requests_limit=60, requests_remaining=0, requests_reset_s=20)
    assert pool.acquire("b")[0] == pytest.approx(20)


def test_a_failing_server_is_down_but_not_shut(pool):
    pool.tell("a", "failed")
    assert float(pool.state()["down_until"]) > pool.now
    assert pool.acquire("b") is None


def test_jobs_are_dispatched_while_the_row_is_short(pool):
    assert pool.may_dispatch()
    pool.acquire("a", requests_per_minute=60)
    pool.dispatched("b")
    assert pool.may_dispatch()
    pool.dispatched("c")
    assert not pool.may_dispatch()
    pool.now += 1
    assert pool.may_dispatch()


def test_few_jobs_are_dispatched_until_a_start_has_told_the_limits(pool):
    for number in range(int(tuning().WINDOW)):
        assert pool.may_dispatch()
        pool.dispatched(f"j{number}")
    assert not pool.may_dispatch()
    pool.acquire("j0")
    assert pool.may_dispatch()


def test_estimates_are_corrected_by_what_jobs_used(pool):
    for number in range(3):
        pool.now += 60
        pool.acquire(f"j{number}", tokens=100, tokens_per_minute=600)
        pool.leave(f"j{number}", tokens_used=200)
    pool.now += 60
    pool.acquire("k", tokens=100, tokens_per_minute=600)
    assert pool.acquire("l", tokens=100, tokens_per_minute=600)[0] == pytest.approx(20, abs=0.3)
