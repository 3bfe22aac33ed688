"""Shared fixtures: one real Redis per session, empty for each module; an emulator, settings and a worker per test.

Each test has its own namespace (key prefix, queue, emulator), so tests do not depend on each other.
`@pytest.mark.endpoint(max_reruns=0)` and `@pytest.mark.settings(lease_s=5)` change the settings of a test.
"""

import gc
import json
import os
import random
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from functools import cached_property
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import hypothesis
import pytest
import redis
import tests.quick_redis  # noqa: F401
from tests.certificates import self_signed
from tests.emulated import Emulated, emulating
from tests.forking.become import THREADMILL
from tests.forking.forked import ForkedProcess, run
from tests.own_redis import own_redis

from threadmill import Client, JobRecord, JobResult, Settings
from threadmill.secrets.redaction import REDACTOR
from threadmill_cli.local.processes import Process
from threadmill_emulator.testing import serving
from threadmill_worker.lifecycle.steps.recovery import call_errors
from threadmill_worker.process import WorkerProcess

#: How long a test waits for something that should take no time.
PATIENCE_S = 60.0

#: Settings of endpoints that keep waits short.
HASTY = {
    "first_poll_s": 0.02,
    "max_poll_interval_s": 0.1,
    "rerun_delay_s": 0.05,
    "cancel_limit_s": 2,
    "unreachable_limit_s": 5,
    "connect_timeout_s": 10,
    "request_timeout_s": 20,
    "tool_timeout_s": 5,
}


#: The same for the emulator of --local.
IN_A_HURRY = {"THREADMILL_ENDPOINTS__EMULATOR__FIRST_POLL_S": "0.1"}


#: A machine may be slow, and busy: no test is timed.
hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, help="seed of the fixture `dice`; the output of a failed test names its own")


def pytest_configure(config: pytest.Config) -> None:
    hypothesis.settings.load_profile("untimed")
    config.addinivalue_line("markers", "settings(**fields): fields of this test's settings")
    config.addinivalue_line("markers", "endpoint(**fields): fields of this test's endpoint `emulator`")
    config.addinivalue_line("markers", "emulated(**options): options of this test's emulator")
    config.addinivalue_line("markers", "all_wires: also on Chat Completions, in tests that compare the other two wires")


_TAKE_MINUTES = {"test_docs.py", "test_dockerfile.py", "test_queue_properties.py"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives each process its share of the slow tests. What takes minutes comes first, the longest page before all."""
    share = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if share == 1:
        return
    slow = [item for item in items if item.get_closest_marker("acceptance") or item.path.name in _TAKE_MINUTES]
    slow.sort(key=lambda item: ("operate.md" not in item.name, item.path.name not in _TAKE_MINUTES))
    chosen = set(slow)
    rest = [item for item in items if item not in chosen]
    length = -(-len(rest) // share)
    items[:] = [
        item
        for number in range(share)
        for item in (*slow[number::share], *rest[number * length : (number + 1) * length])
    ]


def pytest_collection_finish() -> None:
    """Freezes the heap of thousands of tests, whose collection would delay the servers of each test."""
    gc.collect()
    gc.freeze()


def marked(request: pytest.FixtureRequest, name: str) -> dict[str, Any]:
    """The arguments of a test's markers of this name; the closest marker wins."""
    marks = reversed(list(request.node.iter_markers(name)))
    return {key: value for mark in marks for key, value in mark.kwargs.items()}


@pytest.fixture(scope="session", autouse=True)
def _own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hides the settings of the user who runs the tests: variables and files."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("THREADMILL_", "OPENAI_", "DAVINCI_", "AZURE_", "REDIS_", "CELERY_", "OTEL_")):
                patch.delenv(name)
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            patch.delenv(name, raising=False)
            patch.delenv(name.lower(), raising=False)
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(autouse=True)
def _own_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forgets the secrets of other tests, which may be ordinary words in this one."""
    monkeypatch.setattr(REDACTOR, "_secrets", {})
    monkeypatch.setattr(REDACTOR, "_forms", ())


@pytest.fixture(scope="session")
def one_certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file with one certificate."""
    file = tmp_path_factory.mktemp("certificates") / "one.pem"
    file.write_bytes(self_signed("an authority that signs nothing"))
    return str(file)


@pytest.fixture(autouse=True)
def _few_certificates(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, one_certificate: str) -> None:
    """Each HTTP client loads the certificates of all authorities, which takes 40 ms. Only installs need them."""
    if request.node.get_closest_marker("acceptance") is None:
        monkeypatch.setenv("SSL_CERT_FILE", one_certificate)


@pytest.fixture(scope="session")
def _redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a Redis for the whole session. If it cannot be started, the tests fail."""
    with own_redis(tmp_path_factory.mktemp("redis")) as port:
        yield port


@pytest.fixture(scope="module")
def redis_url(_redis_port: int) -> Iterator[str]:
    """The session's Redis. It is emptied after each module: whoever looks for keys reads through all that are there."""
    yield f"redis://127.0.0.1:{_redis_port}/0"
    with redis.Redis(port=_redis_port) as connection:
        connection.flushall()


@pytest.fixture
def store(redis_url: str) -> Iterator[redis.Redis]:
    """A bare connection to Redis. It reads what is not UTF-8 too: tests of damaged data leave some."""
    with redis.Redis.from_url(redis_url, decode_responses=True, encoding_errors="surrogateescape") as connection:
        yield connection


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> random.Random:
    """Random delays and choices, different in each run. The test's output names the seed that repeats them."""
    seed = request.config.getoption("seed")
    if seed is None:
        seed = random.randrange(2**32)
    print(f"To repeat the random choices of this test, add the option --seed {seed}")  # noqa: T201  # pytest shows it
    return random.Random(seed)


@pytest.fixture
def serve() -> Iterator[Callable[[Any], str]]:
    """Serves an ASGI app of the test on a socket, and returns its URL."""
    with ExitStack() as running:
        yield lambda app: running.enter_context(serving(app, waits=False))


@pytest.fixture(scope="session")
def emulate() -> Callable[..., AbstractContextManager[Emulated]]:
    """Starts further emulators."""
    return emulating


@pytest.fixture
def emulator(request: pytest.FixtureRequest) -> Iterator[Emulated]:
    with emulating(**marked(request, "emulated")) as emulated:
        yield emulated


@pytest.fixture
def base_url(emulator: Emulated) -> str:
    """The URL of the endpoint `emulator`; tests may parametrize it."""
    return emulator.base_url


@pytest.fixture(scope="module")
def make_settings(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Settings]:
    """Settings with a namespace of their own."""
    artifacts = tmp_path_factory.mktemp("artifacts")

    def make(base_url: str, endpoint: Mapping[str, Any] | None = None, **fields: Any) -> Settings:
        namespace = f"test-{uuid.uuid4().hex[:12]}"
        return Settings.model_validate(
            {
                "redis_url": redis_url,
                "key_prefix": namespace,
                "queue": namespace,
                "default_endpoint": "emulator",
                "endpoints": {"emulator": {"kind": "emulator", "base_url": base_url, **HASTY, **(endpoint or {})}},
                "concurrency": 20,
                "lease_s": 3,
                "redis_outage_tolerance_s": 10,
                "artifacts": str(artifacts),
                **fields,
            }
        )

    return make


@pytest.fixture
def settings(request: pytest.FixtureRequest, make_settings: Callable[..., Settings], base_url: str) -> Settings:
    return make_settings(base_url, marked(request, "endpoint"), **marked(request, "settings"))


@pytest.fixture
def client(settings: Settings) -> Client:
    """A client as in a service. Its messages are not read unless the test starts a worker process."""
    return Client(settings)


class Core:
    """A worker's core in the test's own event loop, without Celery."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.client = Client(settings)

    @cached_property
    def process(self) -> WorkerProcess:
        """It starts on first use: a test that only creates records has no sweep beside it."""
        return WorkerProcess(self.settings)

    def start(self) -> None:
        """Starts the process, for its periodic steps."""
        assert self.process

    async def close(self) -> None:
        if "process" in vars(self):
            await self.process.close()

    def create(self, prompt: str | None = "Why is the sky blue?", **fields: Any) -> str:
        """Creates a record as the client does. Returns the id."""
        job = self.client.check({"prompt": prompt, "timeout_s": PATIENCE_S, **fields})
        [created] = self.client.store.create([(str(uuid.uuid4()), job)])
        return created.job_id

    async def run(self, prompt: str | None = "Why is the sky blue?", **fields: Any) -> JobResult:
        """A job from its record to its result."""
        return await self.see_through(self.create(prompt, **fields))

    async def see_through(self, job_id: str) -> JobResult:
        await self.process.run(job_id, None)
        return self.client.wait(job_id, timeout_s=0)

    def record(self, job_id: str) -> JobRecord:
        return self.client.get(job_id)

    def take_messages(self) -> list[str]:
        return take_messages(self.client)


def take_messages(client: Client) -> list[str]:
    """Takes all messages off Celery's queue, the oldest first. Returns the ids of their jobs."""
    taken = client.store._redis.lpop(client.settings.queue, 1000) or []
    return [json.loads(message)["headers"]["id"] for message in reversed(taken)]


@pytest.fixture
async def worker_of(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[Settings], Core]]:
    """Starts workers with settings that the test makes."""
    monkeypatch.setattr(call_errors, "BACKOFF_FIRST_S", 0.02)
    monkeypatch.setattr(call_errors, "BACKOFF_LONGEST_S", 0.1)
    cores: list[Core] = []

    def start(settings: Settings) -> Core:
        cores.append(Core(settings))
        return cores[-1]

    yield start
    for core in cores:
        await core.close()


@pytest.fixture
async def worker(settings: Settings, worker_of: Callable[[Settings], Core]) -> Core:
    return worker_of(settings)


def environment(settings: Settings) -> dict[str, str]:
    fields = settings.model_dump(mode="json", exclude_none=True)
    return {
        f"THREADMILL_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in fields.items()
    }


def _starting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Process]]:
    """Starts real worker processes, with Celery. Each is ready when it is returned, and is killed at the end."""
    started: list[Process] = []

    def start(settings: Settings, **variables: str) -> Process:
        command = [sys.executable, "-m", "threadmill_worker", "--concurrency", str(settings.concurrency)]
        log = tmp_path_factory.mktemp("worker") / "worker.log"
        process = ForkedProcess("worker", command, log, environment(settings) | variables)
        started.append(process)
        process.wait_until(lambda: any(f":{process.pid}:" in each.name for each in Client(settings).store.workers()))
        return process

    yield start
    for process in started:
        process.kill()


start_worker = pytest.fixture(_starting)
start_worker_for_all = pytest.fixture(_starting, scope="module")  #: for all tests of a module


@pytest.fixture
def run_cli(tmp_path: Path) -> Callable[..., CompletedProcess[str]]:
    """Runs the command `threadmill` in a forked process, in an empty folder and without a terminal."""

    def run_threadmill(*arguments: str | Path, stdin: str = "", timeout_s: float = 120, **variables: str) -> Any:
        environment = {**os.environ, **IN_A_HURRY, **variables}
        return run(command_line(*arguments), cwd=tmp_path, env=environment, input=stdin, timeout=timeout_s)

    return run_threadmill


def command_line(*arguments: str | Path) -> list[str]:
    return [THREADMILL, *map(str, arguments)]


@pytest.fixture(scope="session")
def cli_command() -> Callable[..., list[str]]:
    """The command line for `subprocess`, for tests that send signals or need a terminal."""
    return command_line


@pytest.fixture(scope="session")
def settings_as_environment() -> Callable[[Settings], dict[str, str]]:
    """Variables that give another process these settings."""
    return environment


@pytest.fixture(scope="session")
def until() -> Callable[..., Any]:
    """Waits until a condition is true, and returns its value."""

    def wait_until(condition: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
        give_up_at = time.monotonic() + patience_s
        while not (value := condition()):
            assert time.monotonic() < give_up_at, "it did not come true in time"
            time.sleep(0.01)
        return value

    return wait_until
