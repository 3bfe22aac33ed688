"""A producer and a worker whose users in Redis have exactly the rights that they need, or one less."""

import json

import pytest
import redis
from tests.life import celery_client, live
from tests.own_redis import own_redis
from typer.testing import CliRunner

from threadmill import Client, StoreRefused
from threadmill.queue import make_app
from threadmill.store.connection import Connection
from threadmill.store.rights import acl, missing, of_producer, of_worker
from threadmill.store.store import Store
from threadmill_cli import app
from threadmill_cli.commands.set_up.doctor.checks import check_rights
from threadmill_cli.local.services import free_port
from threadmill_worker.celery_app.runtime import _end_if_redis_refuses

pytestmark = pytest.mark.integration

ROLES = {"producer": of_producer, "worker": of_worker}


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    config = "acllog-max-len 1000\nacl-pubsub-default resetchannels"
    with own_redis(tmp_path_factory.mktemp("redis"), config) as port:
        yield port


@pytest.fixture
def admin(port):
    with redis.Redis(port=port, decode_responses=True) as connection:
        yield connection
        connection.flushall()
        connection.execute_command("ACL", "DELUSER", *ROLES)


@pytest.fixture
def settings_of(admin, port, make_settings, base_url):
    """Settings that lead to this Redis as the user of a role, who has all rights of the role but those taken away."""
    shared = make_settings(base_url, callback_hosts=("127.0.0.1",))

    def make(role, *taken):
        settings = shared.model_copy(update={"redis_url": f"redis://{role}:s3cret@127.0.0.1:{port}/0"})
        granted = [rule for rule in acl(ROLES[role](settings)) if rule not in taken]
        admin.execute_command("ACL", "SETUSER", role, "reset", "on", ">s3cret", *granted)
        return settings

    return make


def test_the_rights_that_are_listed_are_enough(settings_of, start_worker, admin, until, serve):
    producer, worker = settings_of("producer"), settings_of("worker")
    admin.acl_log_reset()
    start_worker(worker)
    admin.lpush(producer.queue, "no message")
    until(lambda: Client(producer).dead_letters())
    live(producer, until, serve)
    with make_app(producer.model_copy(update={"redis_url": worker.redis_url})) as monitor:
        assert monitor.control.inspect(limit=1, timeout=30).ping()
    admin.execute_command("ACL", "SETUSER", "producer", "+get", "+mget", "+subscribe", "+unsubscribe")
    celery_client(producer)
    refused = {(entry["username"], entry["object"]) for entry in admin.acl_log()}
    assert refused <= {("producer", "client|setinfo"), ("worker", "client|setinfo")}, "redis-py can do without it"


@pytest.mark.parametrize("role", sorted(ROLES))
def test_each_right_that_is_missing_is_named_and_nothing_is_changed(settings_of, admin, role):
    settings = settings_of(role)
    untried = ("+exec", "+multi")
    tried = [rule for rule in acl(ROLES[role](settings)) if rule not in untried]
    assert len(tried) > 40
    for rule in tried:
        settings_of(role, rule)
        with redis.Redis.from_url(settings.redis_url) as connection:
            assert missing(connection, ROLES[role](settings)) == [rule]
            assert rule == "+ping" or connection.ping()
    settings_of(role, "+multi")
    with redis.Redis.from_url(settings.redis_url) as connection:
        assert missing(connection, ROLES[role](settings)) == ["+multi"]
    assert admin.dbsize() == 0


def test_nothing_is_tried_where_there_are_no_transactions(admin, settings, monkeypatch):
    execute = redis.Redis.execute_command

    def without_multi(self, *command, **options):
        return execute(self, *(["frobnicate"] if command[0] == "multi" else command), **options)

    monkeypatch.setattr(redis.Redis, "execute_command", without_multi)
    assert missing(admin, of_worker(settings)) == []
    assert admin.dbsize() == 0


@pytest.mark.parametrize("taken", ["+brpop", "~unacked*", "&/0.celery.pidbox"])
def test_a_worker_that_misses_a_right_ends_and_says_which(settings_of, capsys, taken):
    settings = settings_of("worker", taken)
    with pytest.raises(SystemExit) as ended:
        _end_if_redis_refuses(settings)
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.endswith(f"does not permit all commands that a worker needs: run `ACL SETUSER worker {taken}`\n")
    assert "s3cret" not in said


async def test_a_worker_without_info_says_so_and_still_rescues_jobs(settings_of, capsys, worker_of):
    settings = settings_of("worker", "+info")
    _end_if_redis_refuses(settings)
    said = capsys.readouterr()
    assert "ACL SETUSER worker +info" in said.out + said.err
    core = worker_of(settings)
    assert await core.process._job_store.uptime_s() == float("inf")


def test_doctor_fails_if_a_producer_misses_a_right(settings_of, settings_as_environment, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name, value in settings_as_environment(settings_of("producer", "+hmget")).items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(app, ["doctor", "--json"])
    found = json.loads(done.stdout)[-1]
    assert done.exit_code == 1
    assert (found["check"], found["ok"]) == ("rights", False)
    assert found["detail"].endswith("run `ACL SETUSER producer +hmget`")


def test_doctor_warns_if_a_worker_would_miss_a_right(settings_of):
    settings = settings_of("producer")
    [found] = check_rights(Store(settings), settings)
    assert (found.ok, found.warning) == (True, True)
    assert "a worker with this REDIS_URL also needs `ACL SETUSER producer +" in found.detail


def test_doctor_is_content_with_a_redis_that_permits_everything(settings):
    [found] = check_rights(Store(settings), settings)
    assert (found.ok, found.warning) == (True, False)


@pytest.fixture(params=["without slots", "with slots"])
def cluster(request, tmp_path):
    """The URL of the only node of a cluster."""
    with own_redis(tmp_path, f"cluster-enabled yes\ncluster-port {free_port()}") as port:
        if request.param == "with slots":
            with redis.Redis(port=port) as connection:
                connection.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        yield f"redis://127.0.0.1:{port}/0"


def test_a_cluster_is_refused_in_one_sentence(make_settings, base_url, cluster, capsys):
    settings = make_settings(base_url, redis_url=cluster)
    says = "is a Redis Cluster, which threadmill does not support: use a Redis without cluster mode"
    with pytest.raises(StoreRefused, match=says):
        Connection(settings).info()
    with pytest.raises(SystemExit):
        _end_if_redis_refuses(settings)
    assert capsys.readouterr().err == f"threadmill: Redis at {cluster} {says}\n"
    client = Client(settings)
    with pytest.raises(StoreRefused, match=says):
        client.enqueue("Well?")
    client.store._redis.close()
