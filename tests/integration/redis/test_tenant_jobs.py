"""The lists of a tenant's open and ended jobs agree with the states of its jobs."""

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.integration.redis.test_scripts import FINISH

from threadmill import Client, PromptJob
from threadmill.store import requests
from threadmill.store.keys import Keys
from threadmill.store.scripts import Scripts

pytestmark = pytest.mark.integration

#: Each changes the state of a job, if that is possible now.
STEPS = {
    "create": lambda job_id, tenant: ("jobs/create", request(job_id, tenant)),
    "claim": lambda job_id, _: ("jobs/claim", {"id": job_id, "owner": "w:1", "lease_s": 60}),
    "expire": lambda job_id, _: ("jobs/claim", {"id": job_id, "owner": "w:2", "lease_s": -1}),
    "rescue": lambda _, __: ("jobs/rescue", {"worker": "w", "limit": 9, "interruptions": 9}),
    "hand back": lambda job_id, _: ("jobs/hand_back", {"id": job_id, "owner": "w:1"}),
    "succeed": lambda job_id, _: ("jobs/finish", FINISH[1] | {"id": job_id, "owner": "w:1", "state": "succeeded"}),
    "cancel": lambda job_id, _: ("jobs/finish", FINISH[1] | {"id": job_id, "owner": None, "state": "cancelled"}),
    "redrive": lambda job_id, _: ("jobs/redrive", {"id": job_id, "celery_key": f"celery-task-meta-{job_id}"}),
}

IDS = {"a": "shop", "b": "shop", "c": "desk", "d": None}


def request(job_id, tenant):
    return requests.create(job_id, PromptJob(prompt="Why?", tenant=tenant), "e", ["f"], 60)


@pytest.fixture
def keys(settings):
    return Keys(settings.key_prefix)


@pytest.fixture
def run(store, keys):
    scripts = Scripts(store, keys.prefix, f"{keys.prefix}:celery")
    return lambda name, request: scripts.run(name, request)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.sampled_from(sorted(IDS))), max_size=30))
def test_each_job_is_in_the_list_of_its_state(redis_url, steps):
    import redis

    with redis.Redis.from_url(redis_url, decode_responses=True) as store:
        keys = Keys(f"test-{uuid.uuid4().hex[:12]}")
        scripts = Scripts(store, keys.prefix, f"{keys.prefix}:celery")
        store.set(keys.sweep, "w")
        for step, job_id in steps:
            scripts.run(*STEPS[step](job_id, IDS[job_id]))
        expected = {"shop": {}, "desk": {}}
        for job_id, tenant in IDS.items():
            state = store.hget(keys.record(job_id), "state")
            if tenant and state:
                expected[tenant][job_id] = "open" if state in ("queued", "running") else "ended"
        for tenant, jobs in expected.items():
            listed = {
                job_id: part
                for part in ("open", "ended")
                for job_id in store.zrange(keys.tenant_jobs(tenant, part), 0, -1)
            }
            assert listed == jobs
            [_, number] = scripts.run("tenants/open", {"tenant": tenant})
            assert number == list(jobs.values()).count("open")
        assert len(list(store.scan_iter(f"{keys.prefix}:tenant:*"))) <= 4
        store.delete(*store.scan_iter(f"{keys.prefix}:*"), "none")


def test_a_job_without_a_tenant_is_in_no_list(client: Client, store, keys):
    client.cancel(client.enqueue({"prompt": "Why?", "batch": "b"}).id)
    client.enqueue("Why?")
    assert list(store.scan_iter(f"{keys.prefix}:tenant:*")) == []
    assert client.open_jobs("b") == 0


def test_open_jobs_are_counted(client: Client):
    handles = client.enqueue_many([{"prompt": "Why?", "tenant": "shop"}] * 3 + [{"prompt": "Why?", "tenant": "desk"}])
    assert (client.open_jobs("shop"), client.open_jobs("desk"), client.open_jobs("other")) == (3, 1, 0)
    client.cancel(handles[0].id)
    assert client.open_jobs("shop") == 2
    client.redrive(handles[0].id)
    assert client.open_jobs("shop") == 3


def test_the_list_of_ended_jobs_expires_with_the_last_of_them(client: Client, run, store, keys):
    run("jobs/create", request("j", "shop"))
    run("jobs/finish", FINISH[1] | {"id": "j", "owner": None})
    assert store.ttl(keys.tenant_jobs("shop", "ended")) == FINISH[1]["longest_ttl_s"]
    assert not store.exists(keys.tenant_jobs("shop", "open"))


def test_jobs_that_are_no_longer_kept_leave_the_list(run, store, keys):
    ended = keys.tenant_jobs("shop", "ended")
    store.zadd(ended, {f"gone-{number}": number for number in range(100)})
    for number in range(200):
        run("jobs/create", request(f"j{number}", "shop"))
        run("jobs/finish", FINISH[1] | {"id": f"j{number}", "owner": None})
    left = [job_id for job_id in store.zrange(ended, 0, -1) if job_id.startswith("gone-")]
    assert len(left) < 60, "about 8 of 100 to 300 entries are looked at each time"
    assert store.zcard(ended) == 200 + len(left)


def test_open_jobs_that_an_older_version_ended_are_found_when_they_are_counted(client: Client, store, keys):
    gone, ended, is_open = (handle.id for handle in client.enqueue_many([{"prompt": "Why?", "tenant": "shop"}] * 3))
    store.delete(keys.record(gone))
    store.hset(keys.record(ended), "state", "cancelled")
    counts = (client.open_jobs("shop") for _ in range(1000))  # each looks at one entry, by chance
    assert 1 in counts
    assert store.zrange(keys.tenant_jobs("shop", "open"), 0, -1) == [is_open]
    assert store.zrange(keys.tenant_jobs("shop", "ended"), 0, -1) == [ended]
