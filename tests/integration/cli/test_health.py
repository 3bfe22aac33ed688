"""`threadmill health` beside a worker and a gateway."""

import json

import pytest
from tests.served import served

from threadmill_cli.local.services import free_port
from threadmill_gateway.app import create_app

pytestmark = pytest.mark.integration


@pytest.fixture
def health(run_cli, settings, settings_as_environment):
    def run(*arguments, **variables):
        return run_cli("health", *arguments, **settings_as_environment(settings) | variables)

    return run


def test_without_a_worker(health):
    asked = health("--json")
    assert asked.returncode == 1
    assert json.loads(asked.stdout)["status"] == "failing"


async def test_a_worker_by_what_it_announces(health, worker, until):
    worker.start()
    await worker.process._heartbeat()
    assert (health().returncode, health("--live").stdout) == (0, "ok\n")


def test_a_worker_by_its_port(health, settings, start_worker):
    port = free_port()
    assert f"no worker answers on port {port}" in health("--port", str(port)).stdout
    ports = {"worker_health_port": port, "worker_monitoring_host": "127.0.0.1"}
    start_worker(settings.model_copy(update=ports))
    assert health("--port", str(port)).returncode == 0
    assert health("--live", THREADMILL_WORKER_HEALTH_PORT=str(port)).returncode == 0


def test_an_outage_of_redis_does_not_make_it_dead(health):
    away = {"THREADMILL_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    assert health(**away).returncode == 1
    alive = health("--live", **away)
    assert alive.returncode == 0
    assert "not known" in alive.stderr


def test_a_gateway(health, settings):
    port = free_port()
    assert health("gateway", "--port", str(port)).returncode == 1
    with served(create_app(settings)) as url:
        port = url.rpartition(":")[2]
        assert health("gateway", "--port", port).stdout == "ok\n"
        assert health("gateway", "--live", "--port", port).stdout == "ok\n"
