"""Every command line and Python block of the README and the docs runs as its page shows it.

The commands are those of a bare environment, installed as a user installs it, without the development tools. The
endpoints that the pages name (davinci, openai, ...) are the emulator here.
"""

import fcntl
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
import redis
from tests.acceptance.markdown import Block, blocks, commands
from tests.acceptance.reader_files import write_files
from tests.acceptance.site import LISTENING, Child, until

from threadmill import Client, JobResult, Settings
from threadmill_cli.local.services import free_port, redis_server

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).parents[2]
RUNS = ("sh", "cron", "python")  #: languages of blocks that run
PAGES = [
    page
    for page in (ROOT / "README.md", ROOT / "examples" / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if any(block.language in RUNS for block in blocks(page))
]
EXTRAS = "worker,emulator,gateway,local,documents,parquet,mcp,metrics,otel"

#: Settings of each endpoint that shorten what a reader would wait for.
HASTY = {"first_poll_s": "0.05", "batch_lane_wait_s": "0.1"}

COMMAND_S = 120
INSTALL_S = 600

#: Commands that are tried elsewhere, or need what this machine does not have.
ELSEWHERE = {
    r"\bpip install": "scripts/check_installs runs each",
    r"^celery .* flower": "needs Flower, which is no part of threadmill",
    r"^celery multi": "writes into /var/log and /run; test_celery_multi.py runs it",
    r"--install-completion": "writes into the shell's start-up file, and asks which shell that is",
    r"^docker\b": "needs a Docker engine; test_compose.py and test_dockerfile.py run what they start",
    r"^(kubectl|systemctl|journalctl)\b": "needs a cluster or systemd; tests/unit/deploy checks what they apply",
    r"^(useradd|install|python3 -m venv /opt)\b": "changes the machine",
    r"^(git clone|cd )": "how a reader gets to where the commands run",
    r"^\./scripts/test": "runs this test",
    r"^\./scripts/(setup|demo)": "sets up .venv; .ci/run calls both",
    r"^\./scripts/check_servers": "installs servers, and takes minutes",
    r"^\./examples/run": "test_examples.py runs each",
}

#: Commands that run until they are stopped, and what they print when they are ready.
RUNS_ON = {
    r"^threadmill worker\b": "worker started",
    r"^celery .* worker": "worker started",
    r"^threadmill emulator": "listening on",
    r"^threadmill (gateway|dashboard)": "Uvicorn running on",
    r"^threadmill report schedule": "schedule",
    r"^redis-server": "Ready to accept connections",
}

#: Commands that are right to end with 1.
MAY_FAIL = (
    r"^threadmill jobs --state failed",
    r"^threadmill tools",  # the functions of the page are not all there
)


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a bare environment. It is built once, also for tests that run side by side."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if os.environ.get("PYTEST_XDIST_WORKER") else shared
    with (shared / "bare.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "bare" / "bin" / "threadmill").exists():
            venv.create(shared / "bare")
            uv = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet"]
            subprocess.run(
                [
                    *uv,
                    "--python",
                    str(shared / "bare" / "bin" / "python"),
                    "--constraint",
                    "constraints.txt",
                    f".[{EXTRAS}]",
                ],
                cwd=ROOT,
                check=True,
                timeout=INSTALL_S,
            )
    return shared / "bare" / "bin"


class Reader:
    """Someone who types what a page shows, in a folder with the files that it speaks of."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self._toml = folder / "threadmill.toml"
        self._children: list[Child] = []
        self._port = free_port()
        self._redis_url = f"redis://127.0.0.1:{self._port}/0"
        self._start("redis", [redis_server(), "--port", str(self._port), "--dir", str(folder)], {}, "Ready to accept")
        python = str(programs / "python")
        emulator = self._start("emulator", [python, "-m", "threadmill_emulator", "--port", "0"], {}, "listening on")
        self._emulator_url = until(lambda: LISTENING.search(emulator.log()), "the emulator listens")[1]
        self.environment = self._environment(programs)
        write_files(folder)
        shutil.copytree(ROOT / "examples", folder / "examples")
        (folder / "bin").mkdir()
        (folder / "bin" / "redis-server").symlink_to(redis_server())
        self._gateway_url: str | None = None
        self._monitored_port: str | None = None
        self._batches: set[str] = set()
        self._worker: Child | None = None
        fields = {"redis_url": self._redis_url, "default_endpoint": "emulator"}
        self._client = Client(Settings.model_validate(fields))

    def _environment(self, programs: Path) -> dict[str, str]:
        assistants, responses = f"{self._emulator_url}/api/assts/v1", f"{self._emulator_url}/v1"
        endpoints = {
            name: {"kind": kind, "base_url": url, "api_key_env": "DAVINCI_API_KEY", **HASTY, **more}
            for name, kind, url, more in (
                ("davinci", "davinci", assistants, {"assistant": "asst_emulator"}),
                ("gateway", "assistants", assistants, {"assistant": "asst_emulator"}),
                ("old", "assistants", assistants, {"assistant": "asst_emulator"}),
                ("new", "assistants", assistants, {"assistant": "asst_emulator"}),
                ("openai", "responses", responses, {"model": "emulator"}),
                ("emulator", "emulator", assistants, {}),
            )
        }
        fields = {
            f"THREADMILL_ENDPOINTS__{name.upper()}__{field.upper()}": value
            for name, endpoint in endpoints.items()
            for field, value in endpoint.items()
            if not (name == "emulator" and field == "api_key_env")
        }
        return fields | {
            "PATH": f"{self.folder / 'bin'}:{programs}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "PYTHONPATH": str(self.folder),
            "REDIS_URL": self._redis_url,
            "DAVINCI_API_KEY": "key-of-the-reader",
            "THREADMILL_DEFAULT_ENDPOINT": "gateway",
            "THREADMILL_TOOLS__WEATHER": "readers_tools:weather",
            "THREADMILL_FILE_ROOTS": f'["{self.folder}"]',
            "THREADMILL_SWEEP_INTERVAL_S": "1",
            "THREADMILL_PRICES": '{"emulator": {"prompt": 1, "completion": 2}}',
            "WEATHER_AUTH": "Bearer weather",
            "CRM_AUTH": "Bearer crm",
            "FILES_TOKEN": "files",
            "OPERATIONS_HOOK": f"{self._emulator_url}/_reset",
            "OPERATIONS_TOKEN": "token",
            "MAIL_PASSWORD": "password",
        }

    def reads(self, block: Block) -> None:
        """Does with a block what its page is for."""
        if block.file:
            self._writes(block.file, block.text)
        elif block.language == "toml":
            self._adds(block.text)
        elif block.language == "sh":
            for number, command in commands(block):
                self._types(command, number)
        elif block.language == "cron":
            for number, line in commands(block):
                self._types(line.split(maxsplit=5)[5].replace("cd /srv/operations && ", ""), number)

    def _writes(self, name: str, text: str) -> None:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self._meant(text))
        if file.suffix == ".toml":
            self._toml = file
        if name == "threadmill.toml":
            self._end_worker()

    def _adds(self, text: str) -> None:
        """TOML without a name belongs to the file named last, else to the settings."""
        with self._toml.open("a") as file:
            file.write(self._meant(text))
        self._end_worker()

    def runs(self, python_blocks: list[Block]) -> None:
        """The Python of a page is one program."""
        self._begin_worker()
        program = self.folder / "page.py"
        program.write_text(self._meant("\n".join(block.text for block in python_blocks)))
        self._ends_well(f"python {program}", python_blocks[0].line)

    def _types(self, command: str, line: int) -> None:
        if any(re.search(pattern, command.strip()) for pattern in ELSEWHERE):
            return
        if command.startswith("export "):
            self.environment |= dict(
                word.split("=", 1) for word in shlex.split(self._meant(command), comments=True)[1:]
            )
            return
        self._begin_worker()
        command = self._meant(command)
        if command.startswith("redis-cli "):
            self._asks_redis(shlex.split(command)[1:], line)
            return
        ready = next((text for pattern, text in RUNS_ON.items() if re.search(pattern, command)), None)
        if ready is None:
            self._ends_well(command, line)
        else:
            self._runs_until_stopped(command, ready)

    def _ends_well(self, command: str, line: int) -> None:
        """At a terminal, where the answer to each question is yes."""
        terminal, keyboard = pty.openpty()
        os.write(terminal, b"y\n")
        try:
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=self.folder,
                env={**os.environ, **self.environment},
                stdin=keyboard,
                capture_output=True,
                text=True,
                timeout=COMMAND_S,
                check=False,
            )
        finally:
            os.close(terminal)
            os.close(keyboard)
        allowed = {0, 1} if any(re.search(pattern, command) for pattern in MAY_FAIL) else {0}
        assert done.returncode in allowed, f"line {line}: {command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"

    def _runs_until_stopped(self, command: str, ready: str) -> None:
        child = self._runs_on("documented", command, ready)
        child.signal(signal.SIGTERM)
        assert child.exit_code() == 0, child.log()

    def _gateway(self) -> str:
        """The URL of the reader's gateway, which starts when a page first calls it."""
        if self._gateway_url is None:
            command = "threadmill gateway --port 0"
            gateway = self._runs_on("gateway", command, "Uvicorn running on")
            found = re.search(r"Uvicorn running on (http://[\d.:]+)", gateway.log())
            assert found is not None
            self._gateway_url = found[1]
        return self._gateway_url

    def _monitored(self) -> str:
        """The port of a worker that has metrics and answers probes, which starts when a page first asks it."""
        if self._monitored_port is None:
            self._monitored_port = str(free_port())
            command = f"threadmill worker --metrics-port {self._monitored_port} --health-port {self._monitored_port}"
            self._runs_on("monitored", command, "worker started")
        return self._monitored_port

    def _begin_worker(self) -> None:
        """The reader's worker starts before the first command, and anew after a change of the settings."""
        if self._worker is None:
            self._worker = self._runs_on("worker", "threadmill worker", "worker started")

    def _end_worker(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self._worker = None

    def _runs_on(self, name: str, command: str, ready: str) -> Child:
        return self._start(name, ["bash", "-c", f"cd {self.folder} && exec {command}"], self.environment, ready)

    def _asks_redis(self, words: list[str], line: int) -> None:
        with redis.Redis.from_url(self._redis_url) as connection:
            assert connection.execute_command(*words), f"line {line}: {words}: there is no such key"

    def _meant(self, text: str) -> str:
        """With what stands for something of the reader's replaced by it."""
        for shown, real in {
            r"http://127\.0\.0\.1:8089": self._emulator_url,
            r"(?<!health gateway )--port (8089|8080)": "--port 0",
            r"^threadmill (gateway|dashboard)(?!.*--port)": r"threadmill \1 --port 0",
            r"redis://[\w.]+:6379/0": self._redis_url,
            r"^redis-server": f"redis-server --port {free_port()}",
            r"\.venv/bin/": "",
            r"/srv/": f"{self.folder}/srv/",
            r"asst_(abc|\.\.\.)": "asst_emulator",
            r"(?<=API_KEY=)\.\.\.": "key",
        }.items():
            text = re.sub(shown, real, text)
        for shown, make in {
            r"\bvs_\.\.\.": self._vector_store,
            r"http://(127\.0\.0\.1|localhost):8080": self._gateway,
            r"(?<=health gateway --port )8080": lambda: self._gateway().rpartition(":")[2],
            r"(?<=http://127\.0\.0\.1:)9464": self._monitored,
            r"(?<=cancel )JOB(\.\.\.|\b)": lambda: self._job("[[scenario=stuck]]"),
            r"(?<=redrive )JOB(\.\.\.|\b)": lambda: self._result("[[scenario=failed]]").job_id,
            r"\bJOB(\.\.\.|\b)": lambda: self._result("Hello").job_id,
            r"\bTHREAD(\.\.\.|\b)": lambda: str(self._result("Hello", keep_thread=True).thread_id),
            r"(?<=(?:batch|pause) )NAME|(?<=show )NAME|(?<=cancel )NAME|(?<=redrive )NAME|(?<=attach )NAME": (
                lambda: self._batch("notes")
            ),
        }.items():
            if re.search(shown, text):
                text = re.sub(shown, make(), text)
        return text

    def _job(self, prompt: str, **fields: object) -> str:
        return self._client.enqueue({"prompt": prompt, "endpoint": "emulator", **fields}).id

    def _result(self, prompt: str, **fields: object) -> JobResult:
        return self._client.wait(self._job(prompt, **fields), COMMAND_S)

    def _vector_store(self) -> str:
        headers = {"Authorization": "Bearer key-of-the-reader", "OpenAI-Beta": "assistants=v2"}
        made = httpx.post(f"{self._emulator_url}/v1/vector_stores", headers=headers, json={"name": "documents"})
        return str(made.raise_for_status().json()["id"])

    def _batch(self, name: str) -> str:
        if name not in self._batches:  # a page may have paused it
            self._batches.add(name)
            self._result("Hello", batch=name)
        return name

    def _start(self, name: str, command: list[str], environment: Mapping[str, str], ready: str) -> Child:
        child = Child(name, command, self.folder / f"{name}-{len(self._children)}.log", environment)
        self._children.append(child)
        until(lambda: child.check() or ready in child.log(), f"{name} prints {ready!r}")
        return child

    def leaves(self) -> None:
        for child in reversed(self._children):
            with suppress(ProcessLookupError):
                child.kill()


@contextmanager
def reader(folder: Path, programs: Path) -> Iterator[Reader]:
    someone = Reader(folder, programs)
    try:
        yield someone
    finally:
        someone.leaves()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_shows_runs(page, tmp_path, bare):
    shown = blocks(page)
    with reader(tmp_path, bare) as someone:
        for block in shown:
            someone.reads(block)
        programs = [block for block in shown if block.language == "python" and not block.file]
        if programs:
            someone.runs(programs)
