"""A follower of a job receives all of its text, even after a Redis outage or the death of the worker."""

import time

import pytest
from tests.acceptance.site import until
from tests.follower import Follower

from threadmill import JobState

pytestmark = pytest.mark.acceptance

TEXT = "All work and no play makes Jack a dull boy. " * 20


def enqueue_and_follow(site, run_s: float):
    prompt = f"[[scenario=echo deltas=200 run_s={run_s}]]{TEXT}"
    job = site.client.enqueue({"prompt": prompt, "stream": True})
    follower = Follower(site.client, job.id)
    until(lambda: follower.text, "some text has come")
    return job, follower


def test_a_follower_continues_where_it_stopped_after_an_outage(site, tell):
    site.start_worker()
    _, follower = enqueue_and_follow(site, 12)
    site.stop_redis()
    before = len(follower.text)
    time.sleep(3)
    assert len(follower.text) == before
    site.start_redis()
    back = time.monotonic()
    until(lambda: len(follower.text) > before, "more text has come")
    tell(f"text arrived {time.monotonic() - back:.1f} s after the end of the outage")
    assert len(follower.text) < len(TEXT), "while it was being written"
    follower.join()

    assert follower.text == TEXT
    assert follower.events[-1].state is JobState.SUCCEEDED


@pytest.mark.settings(lease_s=2, sweep_interval_s=0.5)
def test_the_next_worker_sends_a_follower_the_rest(site):
    first = site.start_worker()
    job, follower = enqueue_and_follow(site, 8)
    first.kill()
    site.start_worker()
    follower.join()

    assert follower.text == job.wait(30).text == TEXT
    assert sum(site.completed_runs().values()) == 1
