"""Those who answer the same prompts: each starts its processes on a site."""

import os
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib.util import find_spec
from typing import Any

from fleet import ENDPOINT, SCRIPTS, Fleet, Site, fleet_on

from speed.cores import MEASURED, OTHERS, started_on
from speed.pipe import Answer, ask
from speed.replies import ended_at
from threadmill_cli.local.processes import Process

_WAIT_S = 600


class Contestant(ABC):
    """A running contestant. `pids`: the processes that do the work, without their children."""

    pids: Sequence[int]

    @abstractmethod
    def answer(self, prompts: Sequence[str]) -> list[Answer]:
        """Answers all prompts. Raises an exception if one of them has no answer."""


class Piped(Contestant):
    """One whose prompts go through a process of its own: the script itself, or what sends tasks to a worker."""

    def __init__(self, process: subprocess.Popen[str], worker: Process | None = None) -> None:
        self._process = process
        self.pids = [worker.pid if worker else process.pid]

    def answer(self, prompts: Sequence[str]) -> list[Answer]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return ask(self._process.stdin, self._process.stdout, prompts)


class Threadmill(Contestant):
    def __init__(self, ours: Fleet) -> None:
        self._ours, self.pids = ours, [worker.pid for worker in ours.workers]

    def answer(self, prompts: Sequence[str]) -> list[Answer]:
        handles = self._ours.client.enqueue_many({"endpoint": ENDPOINT, "prompt": each} for each in prompts)
        results = [handle.wait(_WAIT_S) for handle in handles]
        if failed := [result.failure for result in results if not result.ok]:
            raise RuntimeError(f"{len(failed)} of {len(prompts)} jobs failed, the first as {failed[0]}")
        at = [result.timings.finished_at.timestamp() for result in results]
        return [Answer(each, each - ended_at(result.text)) for each, result in zip(at, results, strict=True)]


@contextmanager
def script(made: Site, slots: int, wire: str) -> Iterator[Contestant]:
    with _piped(made, MEASURED, "speed.script", f"{made.server_url}/v1", wire, str(slots)) as process:
        yield Piped(process)


@contextmanager
def celery_threads(made: Site, slots: int, wire: str) -> Iterator[Contestant]:
    """On the Assistants API only."""
    command = ["celery", "-A", "speed.celery_app", "worker", "-P", "threads", "-c", str(slots), "-Q", "plain"]
    with _worker(made, command) as worker, _piped(made, OTHERS, "speed.celery_app") as sender:
        yield Piped(sender, worker)


@contextmanager
def taskiq(made: Site, slots: int, wire: str) -> Iterator[Contestant]:
    """On the Assistants API only."""
    command = ["taskiq", "worker", "speed.taskiq_app:broker", "--workers", "1", "--max-async-tasks", str(slots)]
    with _worker(made, command) as worker, _piped(made, OTHERS, "speed.taskiq_app") as sender:
        yield Piped(sender, worker)


def has_taskiq() -> bool:
    return find_spec("taskiq_redis") is not None


@contextmanager
def threadmill(made: Site, slots: int, wire: str, limits: Mapping[str, Any] | None = None) -> Iterator[Contestant]:
    """One worker process. `limits`: those set for the endpoint; None: nothing is set."""
    with ExitStack() as closing:
        with started_on(MEASURED):
            ours = closing.enter_context(fleet_on(made, 1, slots, wire, limits))
        yield Threadmill(ours)


def threadmill_on_all_cores(workers: int) -> Callable[[Site, int, str], AbstractContextManager[Contestant]]:
    """Returns what starts so many worker processes, each with as many slots, on any core."""

    @contextmanager
    def start(made: Site, slots: int, wire: str) -> Iterator[Contestant]:
        with fleet_on(made, workers, slots, wire) as ours:
            yield Threadmill(ours)

    return start


@contextmanager
def _piped(made: Site, cores: frozenset[int], *module: str) -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    with started_on(cores):
        process = subprocess.Popen(
            [sys.executable, "-m", *module], stdin=pipe, stdout=pipe, env={**os.environ, **_variables(made)}, text=True
        )
    with process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def _worker(made: Site, command: Sequence[str]) -> Iterator[Process]:
    with started_on(MEASURED):
        log = made.folder / "worker.log"
        worker = Process(command[0], [sys.executable, "-m", *command], log, _variables(made))
    try:
        yield worker
    finally:
        worker.stop()


def _variables(made: Site) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(SCRIPTS), os.environ.get("PYTHONPATH")]))
    return {"PYTHONPATH": path, "PLAIN_REDIS_URL": made.redis_url, "PLAIN_BASE_URL": f"{made.server_url}/v1"}
