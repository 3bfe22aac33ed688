"""The servers that there are: Redis and Valkey, each with users of limited rights, and with TLS.

The variable REDIS_SERVERS names the programs of more servers, separated by `:`.
"""

import os
import shutil
import subprocess
from contextlib import ExitStack

import pytest
import redis
from tests.certificates import private
from tests.life import live
from tests.own_redis import own_redis
from tests.tls import with_tls

from threadmill import Client, Settings, StoreUnavailable
from threadmill.store.rights import ROLES, acl
from threadmill_cli.local.services import free_port, redis_server

pytestmark = pytest.mark.integration


def programs():
    found = [redis_server(), *map(shutil.which, ("redis-server", "valkey-server"))]
    found += os.environ.get("REDIS_SERVERS", "").split(":")
    return list(dict.fromkeys(each for each in found if each))


def version_of(program):
    """Such as `Valkey 9.1.0`."""
    words = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.split()
    return f"{words[0]} {next(word for word in words if word.startswith('v='))[2:]}"


def has_tls(program, folder):
    """A server without TLS refuses to listen with it."""
    config = f'port 0\ntls-port {free_port()}\nbind 127.0.0.1\ndir "{folder}"\n'
    done = subprocess.run([program, "-"], input=config, capture_output=True, text=True, timeout=60)
    return "tls-cert-file" in done.stdout + done.stderr


@pytest.fixture(scope="module", params=programs(), ids=version_of)
def program(request):
    return request.param


@pytest.fixture
def authority(tmp_path):
    """A private authority, which no system trusts."""
    return private(tmp_path)


@pytest.fixture
def url(program, tmp_path, authority):
    """Starts the server, with users that have exactly the rights of their roles. Returns the URL of each role.

    A server without TLS of its own has it in front of it.
    """
    config, port, secure = "acl-pubsub-default resetchannels", free_port(), free_port()
    with ExitStack() as running:
        if has_tls(program, tmp_path):
            config += (
                f"\ntls-port {secure}\ntls-cert-file {authority.server}\ntls-key-file {authority.server}"
                f"\ntls-ca-cert-file {authority.authority}\ntls-auth-clients yes"
            )
        running.enter_context(own_redis(tmp_path, config, port, program=program))
        if "tls-port" not in config:
            in_front = with_tls(port, certificate=authority.server, authority=authority.authority)
            secure = running.enter_context(in_front)
        users = running.enter_context(redis.Redis(port=port))

        def of(role: str, settings: Settings) -> str:
            users.execute_command("ACL", "SETUSER", role, "reset", "on", ">s3cret", *acl(ROLES[role](settings)))
            options = (
                f"ssl_ca_certs={authority.authority}&ssl_certfile={authority.client}&ssl_keyfile={authority.client}"
            )
            return f"rediss://{role}:s3cret@127.0.0.1:{secure}/0?{options}"

        yield of


def test_all_that_jobs_need_works(url, make_settings, base_url, start_worker, until, serve):
    shared = make_settings(base_url, callback_hosts=("127.0.0.1",))
    producer, worker = (shared.model_copy(update={"redis_url": url(role, shared)}) for role in ("producer", "worker"))
    process = start_worker(worker)
    live(producer, until, serve)
    Client(shared.model_copy(update={"redis_url": url("scheduler", shared)})).enqueue("[[scenario=echo]]Well?").wait(60)
    process.stop()
    assert "s3cret" not in process.log()
    assert "Permission" not in process.log()


def test_a_private_authority_has_to_be_named(program, url, make_settings, base_url, run_cli, settings_as_environment):
    shared = make_settings(base_url)
    full = url("producer", shared)
    bare = shared.model_copy(update={"redis_url": full.partition("?")[0]})
    with pytest.raises(StoreUnavailable, match="CERTIFICATE_VERIFY_FAILED") as refused:
        Client(bare).ping()
    assert "add ssl_ca_certs=FILE" in str(refused.value)
    named = shared.model_copy(update={"redis_url": full})
    done = run_cli("doctor", "--no-prompt", **settings_as_environment(named))
    assert "ok    redis" in done.stdout
    assert "no worker is running" in done.stdout, "it needs nothing else"
