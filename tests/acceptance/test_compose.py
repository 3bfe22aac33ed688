"""docker-compose.yml without Docker: each service's command, as a process of this machine."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from tests.acceptance.site import THREADMILL, Child, until

from threadmill_cli.local.services import free_port, redis_server

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]

#: Where the services' ports are on this machine.
PORTS = {6379: free_port(), 8089: free_port(), 9108: free_port()}

#: Since yesterday it owes one night.
REPORT = 'schedule = "0 6 * * *"\ncatch_up = 0\npaths = ["documents"]\nendpoint = "emulator"\n'


def here(text: str) -> str:
    """A text of the file, with its variables unset, its hosts this machine, and its ports free ones."""
    text = re.sub(r"\$\{\w+:-(.*?)\}", r"\1", text)
    text = re.sub(r"//(redis|emulator):", "//127.0.0.1:", text).replace("0.0.0.0", "127.0.0.1")
    return re.sub(r"\b(6379|8089|9108)\b", lambda port: str(PORTS[int(port[0])]), text)


def command(service: str, entrypoint: tuple[str, ...]) -> list[str]:
    return [*entrypoint, *shlex.split(here(SERVICES[service]["command"]))]


def is_healthy(service: str) -> bool:
    """Whether the service's own health check says so."""
    kind, program, *arguments = map(here, SERVICES[service]["healthcheck"]["test"])
    assert kind == "CMD"
    if program == "redis-cli":  # which this machine may not have
        assert arguments == ["ping"]
        with redis.Redis(port=PORTS[6379]) as connection, suppress(redis.ConnectionError):
            return bool(connection.ping())
        return False
    program = {"python": sys.executable}.get(program, program)
    return subprocess.run([program, *arguments], capture_output=True, check=False).returncode == 0


@pytest.fixture(autouse=True)
def _redis_on_path(monkeypatch, tmp_path_factory):
    """As in the image: here the program may be inside a wheel, and another than Redis."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / "redis-server").symlink_to(redis_server())
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def start(tmp_path):
    """Starts the process of a service, in a folder that stands for its home."""
    started: list[Child] = []

    def start_service(name: str, *more: str, entrypoint: tuple[str, ...] = (THREADMILL,)) -> Child:
        variables = {key: here(value) for key, value in SERVICES[name].get("environment", {}).items()}
        variables["THREADMILL_WORKER_MONITORING_HOST"] = "127.0.0.1"
        line = shlex.join([*command(name, entrypoint), *more])
        child = Child(name, ["sh", "-c", f"cd {tmp_path} && exec {line}"], tmp_path / f"{name}.log", variables)
        started.append(child)
        return child

    yield start_service
    for child in reversed(started):
        child.kill()


def test_every_service_works(start, tmp_path, tell):
    store = start("redis", "--port", str(PORTS[6379]), "--bind", "127.0.0.1", entrypoint=("env",))
    until(lambda: is_healthy("redis") or store.check(), "redis is healthy")
    with redis.Redis(port=PORTS[6379], decode_responses=True) as connection:
        wanted = {
            "appendonly": "yes",
            "maxmemory-policy": "noeviction",
            "lazyfree-lazy-expire": "yes",
            "hash-max-listpack-value": "4096",
        }
        assert {name: connection.config_get(name)[name] for name in wanted} == wanted
    emulator = start("emulator")
    until(lambda: is_healthy("emulator") or emulator.check(), "the emulator is healthy")
    worker = start("worker")
    until(lambda: is_healthy("worker") or worker.check(), "the worker is healthy")
    shutil.copytree(ROOT / "examples" / "documents", tmp_path / "documents")
    demo = start("demo")

    assert demo.exit_code() == 0, demo.log()
    documents = list((tmp_path / "documents").iterdir())
    answers = (tmp_path / "results" / "demo.jsonl").read_text().splitlines()
    assert len(answers) == len(documents) > 0
    tell(f"the demo's {len(answers)} documents were answered")

    definition = tmp_path / "reports" / "daily.toml"
    definition.parent.mkdir()
    definition.write_text(REPORT)
    yesterday = time.time() - 86_400
    os.utime(definition, (yesterday, yesterday))
    scheduler = start("reports")
    published = definition.parent / "published" / "daily"
    until(lambda: scheduler.check() or list(published.glob("*.html")), "the report is published")
    for each in (worker, scheduler):
        each.signal(signal.SIGTERM)
        assert each.exit_code() == 0, each.log()


def test_what_the_services_ask_of_the_image_is_there():
    ours = {name for name, service in SERVICES.items() if "build" in service}
    assert ours == {"worker", "emulator", "demo", "reports", "gateway"}
    for name, service in SERVICES.items():
        for other in service.get("depends_on", {}):
            assert other in SERVICES, f"{name} depends on {other}"
        for volume in service.get("volumes", []):
            if isinstance(volume, str):  # what need not be there is said in the long form, and is then refused by name
                source, _, target = volume.partition(":")
                assert target.startswith("/")
                assert source in COMPOSE["volumes"] or (ROOT / source).exists(), volume
