"""Redis, a server and worker processes for a measurement, each a process of its own, as a user has them."""

import json
import os
import re
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import redis
from servers.own_redis import own_redis

from threadmill import Client, Settings
from threadmill_cli.extras import program
from threadmill_cli.local.processes import Process

ENDPOINT = "server"
#: The base path and the settings of the endpoint, by the wire that the jobs take.
WIRES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "assistants": ("/v1", {"kind": "assistants", "assistant": "asst_emulator"}),
    "responses": ("/v1", {"kind": "responses", "model": "emulator-1"}),
    "chat": ("/v1", {"kind": "chat", "model": "emulator-1", "max_connections": 1000}),
}
_KEY = "MEASURED_SERVER_KEY"
_WARM, _WARM_KEY, _WARM_JOBS = "warm", "WARM_SERVER_KEY", 40
_LISTENING = re.compile(r"listening on (http://[\d.:]+)")


#: Servers: the emulator, and a faster one that checks nothing.
EMULATOR = ("-m", "threadmill_emulator", "--quiet")
UPSTREAM = ("-m", "speed.upstream")
SCRIPTS = Path(__file__).parent


@dataclass
class Site:
    """A Redis and a server, in a folder of their own."""

    folder: Path
    redis: redis.Redis
    redis_url: str
    server_url: str  #: without a path
    server_pid: int

    def server(self, path: str, **changes: Any) -> Any:
        """Calls a control route of the server; with `changes`, as a POST."""
        data = json.dumps(changes).encode() if changes else None
        with urllib.request.urlopen(f"{self.server_url}{path}", data) as reply:
            return json.load(reply)

    def calls(self) -> int:
        """Returns how many calls the server has received."""
        return sum(self.server("/_stats")["calls"].values())


@contextmanager
def site(server: Sequence[str] = EMULATOR, *, durable: bool = False) -> Iterator[Site]:
    """`server`: arguments of Python. `durable`: Redis writes each change to a file."""
    with tempfile.TemporaryDirectory() as name, own_redis(Path(name), durable=durable) as port:
        folder = Path(name)
        environment = {"PYTHONPATH": os.pathsep.join([str(SCRIPTS), os.environ.get("PYTHONPATH", "")])}
        process = Process("server", [sys.executable, *server, "--port", "0"], folder / "server.log", environment)
        connection = redis.Redis(port=port)
        try:
            process.wait_until(lambda: _LISTENING.search(process.log()) is not None)
            url = _LISTENING.findall(process.log())[0]
            yield Site(folder, connection, f"redis://127.0.0.1:{port}/0", url, process.pid)
        finally:
            process.kill()
            connection.close()


@dataclass
class Fleet:
    """Workers on a site, and a client of theirs."""

    site: Site
    client: Client
    workers: list[Process] = field(default_factory=list)
    _started: int = 0

    @property
    def redis(self) -> redis.Redis:
        return self.site.redis

    def server(self, path: str, **changes: Any) -> Any:
        return self.site.server(path, **changes)

    def start_worker(self) -> Process:
        """Starts a worker without waiting for it."""
        self._started += 1
        worker = Process("worker", program("worker"), self.site.folder / f"worker-{self._started}.log", {})
        self.workers.append(worker)
        return worker

    def kill_worker(self, worker: Process) -> None:
        self.workers.remove(worker)
        worker.kill()

    def wait_for_workers(self) -> None:
        def registered() -> bool:
            names = [each.name for each in self.client.workers()]
            return all(any(f":{worker.pid}:" in name for name in names) for worker in self.workers)

        for worker in self.workers:
            worker.wait_until(registered)

    def warm_up(self) -> None:
        """Lets each worker import what it needs, with jobs of an endpoint that shares no limit with the other."""
        if not self.workers:
            return
        self.client.enqueue_many(
            {"endpoint": _WARM, "batch": _WARM, "prompt": f"[[run_s=0]] {number}"} for number in range(_WARM_JOBS)
        )
        self.drain(_WARM)
        self.server("/_reset", now=True)

    def enqueue(self, prompts: Sequence[str], batch: str, **fields: Any) -> None:
        job = {"endpoint": ENDPOINT, "batch": batch, **fields}
        self.client.enqueue_many({**job, "prompt": prompt} for prompt in prompts)

    def drain(self, batch: str, meanwhile: Callable[[], None] = lambda: None, within_s: float = 600) -> None:
        """Waits until all jobs of a batch have ended, or `within_s` have passed."""
        give_up_at = time.monotonic() + within_s
        while self.client.batch(batch).open and time.monotonic() < give_up_at:
            meanwhile()
            time.sleep(0.1)

    def worker_cpu_s(self) -> float:
        """Seconds of CPU time that the workers have used."""
        times = [psutil.Process(worker.pid).cpu_times() for worker in self.workers]
        return float(sum(each.user + each.system for each in times))


@contextmanager
def fleet(
    *,
    workers: int,
    slots: int = 100,
    wire: str = "assistants",
    emulator: Sequence[str] = (),
    limits: Mapping[str, Any] | None = None,
) -> Iterator[Fleet]:
    """Workers on a site with the emulator, whose options are `emulator`. The others are as for `fleet_on`."""
    hasty = {"lease_s": 5, "sweep_interval_s": 1}
    with site([*EMULATOR, *emulator]) as made, fleet_on(made, workers, slots, wire, limits, hasty) as ours:
        yield ours


@contextmanager
def fleet_on(
    made: Site,
    workers: int,
    slots: int,
    wire: str,
    limits: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Iterator[Fleet]:
    """`slots`: of each worker. `limits`: those set for the endpoint; None: nothing is set. `settings`: more of them."""
    config = made.folder / "threadmill.toml"
    shared = {"redis_url": made.redis_url, "concurrency": slots, **(settings or {})}
    config.write_text(_settings(shared, _endpoint(made, wire), limits))
    # also for the client, which is in this process
    os.environ |= {"THREADMILL_CONFIG": str(config), _KEY: "sk-measured", _WARM_KEY: "sk-warm"}
    ours = Fleet(made, Client(Settings.load()))
    try:
        for _ in range(workers):
            ours.start_worker()
        ours.wait_for_workers()
        ours.warm_up()
        yield ours
    finally:
        for worker in ours.workers:
            worker.kill()


def _endpoint(made: Site, wire: str) -> dict[str, Any]:
    path, settings = WIRES[wire]
    return {"base_url": made.server_url + path, "api_key_env": _KEY, **settings}


def _settings(shared: Mapping[str, Any], endpoint: Mapping[str, Any], limits: Mapping[str, Any] | None) -> str:
    table = f"[endpoints.{ENDPOINT}.limits]\n{_lines(limits)}" if limits else ""
    return f"""\
{_lines(shared)}

[endpoints.{ENDPOINT}]
{_lines(endpoint)}

[endpoints.{_WARM}]
{_lines({**endpoint, "api_key_env": _WARM_KEY})}

{table}
"""


def _lines(values: Mapping[str, Any]) -> str:
    return "\n".join(f"{name} = {json.dumps(value)}" for name, value in values.items())
