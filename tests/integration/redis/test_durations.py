"""How long runs took: shared by all workers, forgotten after a while, and never in a job's way."""

import pytest
import redis.asyncio
from tests.conftest import PATIENCE_S

from threadmill import Client
from threadmill.store.keys import Keys
from threadmill.store.records.durations import RunDurations
from threadmill_worker.lifecycle.polling import ENOUGH, NO_PLAN, PollPlan
from threadmill_worker.store import durations
from threadmill_worker.store.durations import FORGET_S, KEPT, DurationStore
from threadmill_worker.store.jobs import JobStore

pytestmark = pytest.mark.integration

NAME = "emulator/asst_1/"


@pytest.fixture
def base_url():
    return "http://127.0.0.1:9/v1"  # nobody is asked


@pytest.fixture(autouse=True)
def _read_at_once(monkeypatch):
    monkeypatch.setattr(durations, "REFRESH_S", 0.0)


@pytest.fixture
def key(settings):
    return Keys(settings.key_prefix).durations(NAME)


@pytest.fixture
async def clients(settings):
    """The connections of two workers."""
    stores = [JobStore(settings, name) for name in ("one", "other")]
    yield [store.redis for store in stores]
    for store in stores:
        await store.close()


@pytest.fixture
def workers(settings, clients):
    return [DurationStore(settings, client) for client in clients]


async def test_workers_learn_from_each_other(workers):
    one, other = workers
    for duration_s in (5.0, 5.1) * ENOUGH:
        one.add(NAME, duration_s)
    await one.close()
    assert await other.plan(NAME) == await one.plan(NAME) == PollPlan.of([5.0, 5.1] * ENOUGH) != NO_PLAN
    assert await other.plan("emulator/asst_2/") == NO_PLAN


async def test_durations_reach_redis_with_the_next_read(workers, store, key):
    one, _ = workers
    one.add(NAME, 1.23456)
    assert not store.exists(key)
    await one.plan(NAME)
    assert store.lrange(key, 0, -1) == ["1.235"]
    assert FORGET_S - PATIENCE_S < store.ttl(key) <= FORGET_S


async def test_a_client_reads_them_the_latest_used_first(workers, settings):
    one, _ = workers
    for model in ("gpt-4o", "meta/llama"):
        for duration_s in (*range(1, 20), 90):
            one.add(f"emulator/asst_1/{model}", duration_s)
        await one.plan(f"emulator/asst_1/{model}")
    one.add("other//", 0.5)
    await one.close()
    other, llama, gpt = Client(settings).run_durations()
    assert other == RunDurations("other", None, None, runs=1, median_s=0.5, p90_s=0.5)
    assert llama == RunDurations("emulator", "asst_1", "meta/llama", runs=20, median_s=10.5, p90_s=18.0)
    assert gpt.model == "gpt-4o"
    assert Client(settings).run_durations("emulator") == [llama, gpt]


async def test_redis_lists_few_names(workers, store, settings, monkeypatch):
    monkeypatch.setattr(durations, "_NAMES", 2)
    one, _ = workers
    for name in ("a//", "b//", "c//"):
        one.add(name, 5.0)
        await one.plan(name)
    assert [each.endpoint for each in Client(settings).run_durations()] == ["c", "b"]
    assert FORGET_S - PATIENCE_S < store.ttl(Keys(settings.key_prefix).durations_names) <= FORGET_S


async def test_durations_that_cannot_be_read_are_left_out(workers, store, key, settings):
    one, _ = workers
    one.add(NAME, 5.0)
    await one.close()
    store.delete(key)
    assert Client(settings).run_durations() == []
    store.set(key, "not a list")
    assert Client(settings).run_durations() == []


async def test_the_oldest_durations_are_forgotten(workers, store, key):
    one, _ = workers
    for duration_s in range(1, 2 * KEPT + 1):
        one.add(NAME, duration_s)
        if duration_s % 10 == 0:
            await one.plan(NAME)
    await one.close()
    assert store.lrange(key, 0, -1) == [str(each) for each in range(2 * KEPT, KEPT, -1)]


async def test_between_two_reads_redis_is_not_asked(workers, store, key, monkeypatch):
    monkeypatch.setattr(durations, "REFRESH_S", 3600)
    one, _ = workers
    assert await one.plan(NAME) == NO_PLAN
    store.rpush(key, *["5"] * ENOUGH)
    assert await one.plan(NAME) == NO_PLAN


async def test_a_damaged_value_counts_as_missing(workers, store, key):
    one, _ = workers
    store.rpush(key, *["5"] * ENOUGH, "", "x", "nan", "-1", "0", "inf", "1e300", "é")
    assert await one.plan(NAME) == PollPlan.of([5.0] * ENOUGH)


async def test_a_damaged_key_counts_as_missing(workers, store, key):
    one, _ = workers
    store.set(key, "not a list")
    one.add(NAME, 5.0)
    assert await one.plan(NAME) == NO_PLAN
    await one.close()


async def test_without_redis_a_job_uses_what_is_known(workers, store, key):
    one, _ = workers
    store.rpush(key, *["5"] * ENOUGH)
    known = await one.plan(NAME)
    async with redis.asyncio.Redis(port=9) as away:
        one._redis = away
        one.add(NAME, 5.0)
        assert await one.plan(NAME) == known
        await one.close()


async def test_few_names_are_kept_in_memory(settings, clients, monkeypatch):
    monkeypatch.setattr(durations, "_NAMES", 2)
    one = DurationStore(settings, clients[0])
    for name in ("a", "b", "a", "c"):
        await one.plan(name)
    assert list(one._known) == ["a", "c"]
