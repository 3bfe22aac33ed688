"""Redis runs, but cannot be used: workers wait in every such state, and then continue with the jobs they hold."""

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
import redis
from tests.acceptance.site import until

from threadmill import StoreRefused, StoreUnavailable

pytestmark = pytest.mark.acceptance

LEASE_S = 2.0
LONGER_THAN_A_LEASE_S = 2.7


@contextmanager
def out_of_memory(store: redis.Redis) -> Iterator[None]:
    store.config_set("maxmemory", 1)
    yield
    store.config_set("maxmemory", 0)


@contextmanager
def read_only(store: redis.Redis) -> Iterator[None]:
    store.replicaof("127.0.0.1", "1")
    yield
    store.replicaof("NO", "ONE")


@contextmanager
def another_password(store: redis.Redis) -> Iterator[None]:
    with without_clients(store) as admin:
        admin.config_set("requirepass", "rotated")
        disconnect(admin)
        yield
        admin.config_set("requirepass", "")


@contextmanager
def no_room_for_clients(store: redis.Redis) -> Iterator[None]:
    with without_clients(store) as admin:
        before = admin.config_get("maxclients")["maxclients"]
        admin.config_set("maxclients", 1)
        disconnect(admin)
        yield
        admin.config_set("maxclients", before)


@contextmanager
def without_clients(store: redis.Redis) -> Iterator[redis.Redis]:
    """The connection of the test is the first of all, and stays."""
    with store.client() as admin:
        yield admin


def disconnect(admin: redis.Redis) -> None:
    admin.client_kill_filter(_type="normal", skipme=True)
    admin.client_kill_filter(_type="pubsub", skipme=True)


@contextmanager
def busy(store: redis.Redis) -> Iterator[None]:
    store.config_set("lua-time-limit", 50)
    script = threading.Thread(target=endless_script, args=[store])
    script.start()
    yield
    until(lambda: killed(store), "the script is killed")
    script.join(10)


def endless_script(store: redis.Redis) -> None:
    with suppress(redis.RedisError):
        store.eval("while true do end", 0)


def killed(store: redis.Redis) -> bool:
    try:
        return bool(store.script_kill())
    except redis.RedisError:
        return False


@contextmanager
def unable_to_save(store: redis.Redis) -> Iterator[None]:
    store.config_set("save", "3600 1")
    shutil.rmtree(store.config_get("dir")["dir"])
    store.bgsave()
    until(lambda: store.info("persistence")["rdb_last_bgsave_status"] == "err", "it cannot save")
    yield
    store.config_set("stop-writes-on-bgsave-error", "no")


@contextmanager
def paused(store: redis.Redis) -> Iterator[None]:
    store.client_pause(int(LONGER_THAN_A_LEASE_S * 1000))
    yield


#: The error of a producer; during a pause there is none, and it waits.
STATES = {
    "paused": (paused, None, ""),
    "out of memory": (out_of_memory, StoreRefused, "is out of memory: raise"),
    "read-only": (read_only, StoreUnavailable, "is a read-only replica: a failover"),
    "another password": (another_password, StoreRefused, "needs a password: set"),
    "too many clients": (no_room_for_clients, StoreUnavailable, "accepts no more connections: raise"),
    "busy": (busy, StoreUnavailable, "is busy with a long script: wait"),
    "unable to save": (unable_to_save, StoreRefused, "because it cannot save to its disk: free"),
}


@pytest.mark.settings(lease_s=LEASE_S, sweep_interval_s=0.5, concurrency=5)
def test_every_state_of_redis_costs_time_and_no_attempt(site, tell):
    workers = [site.start_worker(), site.start_worker()]
    for name, (state, error, says) in STATES.items():
        jobs = site.enqueue([f"[[scenario=echo run_s=1]]{name} {number}" for number in range(8)])
        until(lambda: sum(len(site.held_by(worker)) for worker in workers) == 8, "all jobs are in flight")
        with state(site.store):
            if error is not None:
                with pytest.raises(error, match=says):
                    site.client.enqueue("Is anybody there?")
            time.sleep(LONGER_THAN_A_LEASE_S)
        over = time.monotonic()
        records = site.await_results(jobs, 60)
        assert {record.id: record.result.text for record in records} == {
            job_id: prompt.partition("]]")[2] for job_id, prompt in jobs.items()
        }
        assert {record.attempts for record in records} == {1}, name
        assert site.client.enqueue("[[scenario=echo run_s=0]]And now?").wait(timeout_s=40).text == "And now?"
        assert all(worker.lives for worker in workers), name
        tell(f"{name}: 8 of 8 results, and that of a new job, {time.monotonic() - over:.1f} s after it was over")
    assert set(site.completed_runs().values()) == {1}
