"""Two Redis servers and three sentinels: the loss of the master costs seconds, and no result."""

import threading
import time

import pytest
import redis
from tests.acceptance.site import Site, until
from tests.conftest import marked
from tests.own_redis import answers

from threadmill_cli.local.services import free_port, redis_server

pytestmark = pytest.mark.acceptance

PASSWORD = "s3cret/redis"
SENTINEL_PASSWORD = "s3cret&sentinel"

SENTINEL = """
sentinel monitor jobs 127.0.0.1 {master} 2
sentinel auth-pass jobs {password}
sentinel down-after-milliseconds jobs 1000
sentinel failover-timeout jobs 3000
"""


class WatchedSite(Site):
    """Its Redis is a master with a replica, watched by three sentinels; both kinds have passwords."""

    def start_redis(self):
        self._sentinel_ports = [free_port() for _ in range(3)]
        self.redis = self._start_redis(self._redis_port)
        replica = free_port()
        self._start_redis(replica, f"replicaof 127.0.0.1 {self._redis_port}")
        with redis.Redis(port=replica, password=PASSWORD) as connection:
            until(lambda: connection.info("replication")["master_link_status"] == "up", "the replica is in sync")
        for port in self._sentinel_ports:
            self._start_sentinel(port)
        for port in self._sentinel_ports:
            with redis.Redis(port=port, password=SENTINEL_PASSWORD) as connection:
                until(lambda: self._is_ready(connection.sentinel_master("jobs")), "the sentinels know each other")

    @staticmethod
    def _is_ready(master):
        return (master["num-slaves"], master["num-other-sentinels"], master["flags"]) == (1, 2, "master")

    def _start_redis(self, port, more=""):
        config = (
            f'port {port}\nbind 127.0.0.1\ndir "{self._folder}"\ndbfilename {port}.rdb\nsave ""\n'
            f"requirepass {PASSWORD}\nmasterauth {PASSWORD}\nrepl-diskless-sync-delay 0\n{more}\n"
        )
        server = self.start("redis", [redis_server(), "-"], config)
        with redis.Redis(port=port, password=PASSWORD) as connection:
            server.wait_until(lambda: answers(connection))
        return server

    def _start_sentinel(self, port):
        file = self._folder / f"sentinel-{port}.conf"
        watched = SENTINEL.format(master=self._redis_port, password=PASSWORD)
        file.write_text(
            f'port {port}\nbind 127.0.0.1\ndir "{self._folder}"\nrequirepass {SENTINEL_PASSWORD}\n{watched}'
        )
        server = self.start("sentinel", [redis_server(), str(file), "--sentinel"])
        with redis.Redis(port=port, password=SENTINEL_PASSWORD) as connection:
            server.wait_until(lambda: answers(connection))

    @property
    def redis_url(self):
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._sentinel_ports)
        return f"sentinel://:s3cret%2Fredis@{hosts}/1?master=jobs&sentinel_password=s3cret%26sentinel"


@pytest.fixture
def site(request, tmp_path):
    made = WatchedSite(tmp_path, marked(request, "settings"))
    yield made
    made.close()


@pytest.mark.settings(concurrency=120)
def test_a_failover_costs_no_result_and_no_second_run(site, tell):
    worker = site.start_worker()
    jobs = site.enqueue([f"[[scenario=echo run_s=4]]Question {number}" for number in range(100)])
    until(lambda: site.runs()["created"] == 100, "all jobs are in flight")
    answers, last = [], list(jobs)[-1]  # the first may have its result already
    waiter = threading.Thread(target=lambda: answers.append(site.client.wait(last, timeout_s=60)))
    waiter.start()
    until(lambda: any(each["cmd"] == "xread" for each in site.store.client_list()), "somebody waits for a result")

    site.redis.kill()
    killed = time.monotonic()

    waiter.join(60)
    assert answers, "the waiter has its result"
    tell(f"the first result {time.monotonic() - killed:.1f} s after the master was killed")
    records = site.await_results(jobs, patience_s=60)
    tell(f"100 of 100 results {time.monotonic() - killed:.1f} s after the master was killed")
    assert {record.result.state for record in records} == {"succeeded"}
    assert site.completed_runs() == dict.fromkeys(jobs, 1)
    assert site.runs()["created"] == 100

    fresh = site.client.enqueue("[[scenario=echo run_s=0]]And now?")
    assert fresh.wait(timeout_s=40).text == "And now?"
    assert worker.lives, "the worker is the same process"
    assert {record.attempts for record in records} == {1}
    assert "s3cret" not in worker.log()
