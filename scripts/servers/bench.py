"""What threadmill needs to run jobs on a server: its own Redis, settings and worker processes, as a user has them."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from servers.kind import Kind, Running
from servers.own_redis import own_redis
from threadmill import Client, FailureKind, JobHandle, JobResult, Settings
from threadmill_cli.extras import program
from threadmill_cli.local.processes import Process

ENDPOINT = "server"
_KEY = "CHECKED_SERVER_KEY"
_JOB_S = 120
_TOOL = '''"""A tool for the jobs."""


def stock(name: str) -> str:
    """How many pieces of an article there are."""
    return f"there are seven pieces of {name}"
'''


class Failed(Exception):
    """A check failed; the text says how."""


class Refused(Exception):
    """The server cannot do what a job asks for, and threadmill said so; the text is what it said."""


@dataclass
class Bench:
    kind: Kind
    running: Running
    folder: Path
    client: Client
    workers: list[Process] = field(default_factory=list)
    lost_runs: int = 0  #: that the results of its jobs tell of

    def words(self, name: str, *values: object) -> str:
        """What a prompt says to have the backend behave so."""
        return self.running.backend.words[name].format(*values)

    def enqueue(self, prompt: str, **fields: Any) -> JobHandle:
        return self.client.enqueue({"prompt": prompt, "endpoint": ENDPOINT, "timeout_s": _JOB_S, **fields})

    def ask(self, prompt: str, **fields: Any) -> JobResult:
        """The result of a job that succeeded. Raises Refused or Failed for one that did not."""
        return succeeded(self.enqueue(prompt, **fields).wait(_JOB_S + 60))

    def start_worker(self) -> None:
        number = len(self.workers) + 1
        log = self.folder / f"worker-{number}.log"
        worker = Process(f"worker {number}", program("worker"), log, {})
        self.workers.append(worker)
        worker.wait_until(lambda: any(f":{worker.pid}:" in each.name for each in self.client.workers()))

    def threadmill(self, *arguments: str) -> tuple[int, str]:
        """Exit code and output of a command."""
        command = [sys.executable, "-m", "threadmill", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
        return done.returncode, done.stdout + done.stderr


def succeeded(result: JobResult) -> JobResult:
    if result.ok:
        return result
    if result.failure is None:
        raise Failed(f"the job ended {result.state}")
    if result.failure.kind is FailureKind.UNSUPPORTED:
        raise Refused(result.failure.message)
    raise Failed(f"{result.failure.kind}: {result.failure.message}")


def wait_until(ready: Callable[[], bool], what: str, within_s: float = 60) -> None:
    give_up_at = time.monotonic() + within_s
    while not ready():
        if time.monotonic() > give_up_at:
            raise Failed(f"waited {within_s:.0f} s for {what}")
        time.sleep(0.1)


@contextmanager
def bench(kind: Kind, running: Running, folder: Path) -> Iterator[Bench]:
    """With two workers."""
    own = folder / "threadmill"
    own.mkdir(exist_ok=True)
    config = own / "threadmill.toml"
    (own / "check_tools.py").write_text(_TOOL)
    path = os.pathsep.join(filter(None, [str(own), os.environ.get("PYTHONPATH", "")]))
    with own_redis(own) as port:
        config.write_text(settings_text(kind, running, f"redis://127.0.0.1:{port}/0", own))
        # Also for the client, which is in this process.
        os.environ |= {"THREADMILL_CONFIG": str(config), "PYTHONPATH": path, _KEY: running.key}
        made = Bench(kind, running, own, Client(Settings.load()))
        try:
            made.start_worker()
            made.start_worker()
            yield made
        finally:
            for worker in made.workers:
                worker.stop()


def settings_text(kind: Kind, running: Running, redis_url: str, folder: Path) -> str:
    """A threadmill.toml for this server."""
    lines = {"base_url": running.url, "api_key_env": _KEY, "model": running.model}
    endpoint = "\n".join(f"{name} = {_toml(value)}" for name, value in (lines | dict(kind.settings)).items())
    return f"""\
redis_url = "{redis_url}"
lease_s = 5
file_roots = ["{folder}"]

[endpoints.{ENDPOINT}]
{endpoint}

[tools]
stock = "check_tools:stock"
"""


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{name} = {_toml(each)}' for name, each in value.items())} }}"
    return json.dumps(value)
