"""Changes of a job's state are streamed only to those who wait for the job or follow it."""

import threading

import pytest
from tests.follower import Follower
from tests.integration.redis.test_scripts import FINISH

from threadmill import EventKind
from threadmill.store.keys import Keys
from threadmill.store.scripts import Scripts

pytestmark = pytest.mark.integration


@pytest.fixture
def keys(settings):
    return Keys(settings.key_prefix)


@pytest.fixture
def scripts(store, keys):
    return Scripts(store, keys.prefix)


@pytest.fixture
def claim(scripts):
    return lambda job_id: scripts.run("jobs/claim", {"id": job_id, "owner": "w:1", "lease_s": 60})


@pytest.fixture
def finish(scripts, client):
    def finish(job_id: str) -> None:
        result = client.store.get(job_id).ended("failed", None, client.store.now())
        own = {"id": job_id, "owner": "w:1", "result": result.model_dump_json(), "batch_counts": {}, "leftovers": []}
        assert scripts.run("jobs/finish", FINISH[1] | own) == ["finished"]

    return finish


def states(events) -> list[str]:
    return [event.state for event in events if event.kind is EventKind.STATE]


def test_a_job_that_nobody_watches_has_no_stream(client, store, keys, claim, finish):
    job_id = client.enqueue("Why?").id
    claim(job_id)
    finish(job_id)
    assert not store.exists(keys.events(job_id))


def test_a_late_follower_learns_all_states(client, store, keys, claim, finish):
    job_id = client.enqueue("Why?").id
    claim(job_id)
    finish(job_id)
    events = list(client.follow(job_id, timeout_s=0))
    assert states(events) == ["queued", "running", "failed"]
    record = client.store.get(job_id)
    moments = [record.created_at, record.started_at, record.finished_at]
    assert all(abs((event.at - moment).total_seconds()) < 0.01 for event, moment in zip(events, moments, strict=True))
    assert 0 < store.ttl(keys.events(job_id)) <= 60


def test_two_followers_learn_what_follows_and_a_waiter_is_woken(client, claim, finish, until):
    job_id = client.enqueue("Why?").id
    first = Follower(client, job_id)
    until(lambda: first.of(EventKind.STATE))
    claim(job_id)
    second = Follower(client, job_id)
    until(lambda: len(second.of(EventKind.STATE)) == 2)
    waiter = threading.Thread(target=client.wait, args=(job_id, 4))  # less than a blocking read
    waiter.start()
    finish(job_id)
    waiter.join(3)
    assert not waiter.is_alive()
    for follower in (first, second):
        follower.join()
        assert states(follower.events) == ["queued", "running", "failed"]


def test_a_follower_sees_that_its_job_is_redriven(client, claim, finish, until):
    job_id = client.enqueue("Why?").id
    claim(job_id)
    finish(job_id)
    client.redrive(job_id)
    follower = Follower(client, job_id)
    until(lambda: follower.of(EventKind.STATE))
    claim(job_id)
    finish(job_id)
    follower.join()
    assert states(follower.events) == ["queued", "running", "failed"]


def test_a_job_that_waits_again_is_told_as_queued(client, scripts, claim, until):
    job_id = client.enqueue("Why?").id
    claim(job_id)
    scripts.run("jobs/save", {"id": job_id, "owner": "w:1", "progress": "{}"})
    assert scripts.run("jobs/hand_back", {"id": job_id, "owner": "w:1"}) == ["queued"]
    follower = Follower(client, job_id)
    until(lambda: len(follower.of(EventKind.STATE)) == 3)
    assert states(follower.events) == ["queued", "running", "queued"]
    client.cancel(job_id)
    follower.join()


def test_the_stream_that_an_older_version_made_expires_with_its_job(client, store, keys, claim, finish):
    job_id = client.enqueue("Why?").id
    store.xadd(keys.events(job_id), {"state": "queued"})
    claim(job_id)
    finish(job_id)
    assert 0 < store.ttl(keys.events(job_id)) <= 60
    assert [fields["state"] for _, fields in store.xrange(keys.events(job_id))] == ["queued", "running", "failed"]


@pytest.mark.parametrize("created_at", ["18446744073709550", "253402300800", "-1", "nan", "soon"])
def test_a_damaged_time_of_a_record_does_not_reach_its_stream(client, store, keys, scripts, created_at):
    job_id = client.enqueue("Why?").id
    store.hset(keys.record(job_id), "created_at", created_at)
    scripts.run("jobs/watch", {"id": job_id})
    [(entry_id, _)] = store.xrange(keys.events(job_id))
    assert abs(int(entry_id.partition("-")[0]) / 1000 - client.store.now().timestamp()) < 60
