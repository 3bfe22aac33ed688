"""Endpoints with several keys: a job uses one of them until its end, and what it made is used and deleted with it."""

import asyncio
import uuid
from datetime import UTC, datetime

import pytest
import redis
from tests.conftest import PATIENCE_S
from tests.emulated import CHAT, WIRES, Request
from tests.integration.worker.test_lane import see_all_through

from threadmill import FailureKind, JobState
from threadmill.settings.endpoints.pool_name import pool_name
from threadmill.store import requests
from threadmill.store.records.remote import Applied
from threadmill_worker.lifecycle.progress import Leftover, Progress

pytestmark = [pytest.mark.integration, pytest.mark.endpoint(api_key_envs=["KEY_1", "KEY_2"])]

ON_EACH_WIRE = [pytest.param(marks=pytest.mark.endpoint(**fields), id=wire) for wire, fields in WIRES.items()]
LANE = {"wire": "responses", "model": "emulator", "assistant": None, "first_poll_s": 0.1, "batch_lane_wait_s": 0.2}


@pytest.fixture(autouse=True)
def _keys(monkeypatch):
    for number in (1, 2):
        monkeypatch.setenv(f"KEY_{number}", f"secret-of-key-{number}")


@pytest.fixture
def create(worker, store, keys):
    """Creates a job that may use the pool of one key, and that is dispatched to it."""

    def create(key: str, prompt: str = "[[scenario=tools]] Why?", **fields) -> str:
        job = worker.client.check({"prompt": prompt, "timeout_s": PATIENCE_S, **fields})
        job_id, pool = str(uuid.uuid4()), pool_name("emulator", key=key)
        worker.client.store._run("jobs/create", **requests.create(job_id, job, "emulator", [pool], 60))
        store.hset(keys.record(job_id), "pool", pool)  # the test may claim it before it is dispatched
        return job_id

    return create


def key_of(request: Request) -> str:
    return request.headers["authorization"].removeprefix("Bearer secret-of-").replace("-", "_").upper()


def used(emulator, since: int = 0) -> set[str]:
    """The keys of the requests."""
    return {key_of(each) for each in emulator.requests[since:]}


@pytest.mark.parametrize((), [*ON_EACH_WIRE, pytest.param(marks=pytest.mark.endpoint(**CHAT), id="chat")])
async def test_all_calls_of_a_job_use_the_key_of_its_pool(worker, emulator, create):
    for key in ("KEY_2", "KEY_1"):
        since = len(emulator.requests)
        result = await worker.see_through(create(key))
        assert result.state is JobState.SUCCEEDED
        assert used(emulator, since) == {key}


async def test_a_job_without_a_pool_uses_the_first_key(worker, emulator):
    assert (await worker.run()).state is JobState.SUCCEEDED
    assert used(emulator) == {"KEY_1"}


async def test_a_later_attempt_uses_the_key_of_the_first(worker, emulator, create, store, keys):
    job_id = create("KEY_1")
    progress = Progress.begin(worker.record(job_id), Progress(0, 1).features, "KEY_2")
    store.hset(keys.record(job_id), "progress", progress.to_json())
    assert (await worker.see_through(job_id)).state is JobState.SUCCEEDED
    assert used(emulator) == {"KEY_2"}


@pytest.mark.parametrize((), ON_EACH_WIRE)
async def test_a_leftover_is_deleted_with_the_key_that_made_it(worker, emulator, create):
    emulator.faults(error_500=1, only="threads.delete,responses.delete")
    await worker.see_through(create("KEY_2"))
    assert {each.key for each in worker.client.leftovers()} == {"KEY_2"}

    emulator.faults()
    worker.client.store.retry_leftovers()
    await worker.process.clean_up()
    assert worker.client.leftovers() == []
    assert (used(emulator), emulator.left()) == ({"KEY_2"}, {})


async def test_what_a_job_leaves_when_it_is_stopped_names_its_key(worker, create, store, keys):
    job_id = create("KEY_2")
    progress = Progress(0, 1, key="KEY_2").owning(Leftover("thread", "thread_1"))
    store.hset(keys.record(job_id), "progress", progress.to_json())
    left = worker.record(job_id).remains("emulator")
    assert left == ['{"endpoint":"emulator","kind":"thread","id":"thread_1","key":"KEY_2"}']


@pytest.mark.parametrize((), ON_EACH_WIRE)
async def test_a_job_on_a_kept_thread_uses_the_key_of_the_thread(worker, emulator, create, store, keys):
    first = await worker.see_through(create("KEY_2", keep_thread=True))
    job_id = create("KEY_1", thread=first.thread_id)
    assert (await worker.see_through(job_id)).state is JobState.SUCCEEDED
    assert worker.record(job_id).pool == pool_name("emulator", key="KEY_2")
    assert not any(store.exists(keys.pool_jobs(pool_name("emulator", key=key))) for key in ("KEY_1", "KEY_2"))
    [kept] = worker.client.threads()
    assert (kept.key, kept.jobs) == ("KEY_2", 2)

    worker.client.delete_thread(first.thread_id)
    await worker.process.clean_up()
    assert (used(emulator), emulator.left()) == ({"KEY_2"}, {})


@pytest.mark.parametrize((), ON_EACH_WIRE)
async def test_a_job_on_a_kept_thread_is_dispatched_to_the_pool_of_its_key(worker, create, store, keys):
    first = await worker.see_through(create("KEY_2", keep_thread=True))
    flows = [store.hget(keys.record(worker.create(thread=id)), "flow") for id in (first.thread_id, "thread_unknown")]
    assert [flow.count("@KEY_1") for flow in flows] == [0, 1]
    assert [flow.count("@KEY_2") for flow in flows] == [1, 1]


async def test_a_job_with_an_applied_profile_uses_the_key_of_its_assistant(worker, emulator, create, store, keys):
    id = emulator.call("POST", "/assistants", {"model": "emulator-1"})["id"]
    since = len(emulator.requests)
    applied = Applied(id=id, applied_at=datetime.now(UTC), digest="", key="KEY_2")
    worker.client.store.set_assistant("emulator", "support", applied)
    assert (await worker.see_through(create("KEY_1", profile="support"))).state is JobState.SUCCEEDED
    assert used(emulator, since) == {"KEY_2"}
    flow = store.hget(keys.record(worker.create(profile="support")), "flow")
    assert "@KEY_2" in flow
    assert "@KEY_1" not in flow


async def test_each_key_has_its_own_files_of_a_batch(worker, emulator, create, settings, tmp_path):
    object.__setattr__(settings, "file_roots", (tmp_path,))
    path = tmp_path / "notes.txt"
    path.write_text("The sky is blue.")
    jobs = [create(key, batch="b", files=[str(path)]) for key in ("KEY_1", "KEY_2", "KEY_2")]
    for job_id in jobs:
        assert (await worker.see_through(job_id)).state is JobState.SUCCEEDED
    assert len(emulator.sent("POST", "/files")) == 2

    await worker.process.clean_up()
    deleted = [each for each in emulator.requests if each.method == "DELETE" and "/files/" in each.path]
    assert sorted(map(key_of, deleted)) == ["KEY_1", "KEY_2"]
    assert emulator.left() == {}


@pytest.mark.endpoint(**LANE)
@pytest.mark.settings(sweep_interval_s=0.1)
@pytest.mark.emulated(batch_s=0.3)
async def test_a_remote_batch_has_the_jobs_of_one_key(worker, emulator, create):
    jobs = [create(key, "Why?", lane="batch") for key in ("KEY_1", "KEY_2", "KEY_1")]
    results = await see_all_through(worker, jobs)
    assert {result.state for result in results} == {JobState.SUCCEEDED}

    assert sorted(map(key_of, emulator.sent("POST", "/batches"))) == ["KEY_1", "KEY_2"]
    await worker.process.clean_up()
    assert emulator.left() == {}


async def test_a_worker_without_one_of_the_keys_names_it(worker, create, monkeypatch):
    monkeypatch.delenv("KEY_2")
    failure = (await worker.see_through(create("KEY_1"))).failure
    assert failure.kind is FailureKind.UNAUTHORISED
    assert "needs its key in KEY_2" in failure.message


async def test_a_worker_whose_settings_no_longer_have_the_key_names_it(worker, create, store, keys):
    job_id = create("KEY_1")
    store.hset(keys.record(job_id), "progress", Progress(0, 1, key="KEY_3").to_json())
    failure = (await worker.see_through(job_id)).failure
    assert failure.kind is FailureKind.UNAUTHORISED
    assert "the key in KEY_3: add it to api_key_envs" in failure.message


async def test_no_key_reaches_redis(worker, create, store, settings, redis_url):
    await worker.see_through(create("KEY_2", keep_thread=True))
    with redis.Redis.from_url(redis_url) as raw:
        dumps = [raw.dump(name) or b"" for name in raw.scan_iter(f"{settings.key_prefix}:*")]
    assert any(b"KEY_2" in dump for dump in dumps)
    assert not any(b"secret-of-key" in dump for dump in dumps)


@pytest.mark.endpoint(limits={"requests_per_minute": 60})
async def test_jobs_that_the_limits_of_one_key_hold_back_use_the_other(worker, emulator, until):
    await worker.run()  # the pool learns its limits from the first start
    jobs = [worker.create("Why?") for _ in range(6)]
    dispatched: set[str] = set()
    await asyncio.to_thread(until, lambda: dispatched.update(worker.take_messages()) or dispatched >= set(jobs))
    results = await asyncio.gather(*map(worker.see_through, jobs))
    assert {result.state for result in results} == {JobState.SUCCEEDED}
    assert used(emulator) == {"KEY_1", "KEY_2"}
