"""The processes of an acceptance test: Redis, an emulator and workers."""

import asyncio
import re
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.conftest import environment
from tests.forking.forked import ForkedProcess
from tests.own_redis import answers

from threadmill import Client, JobRecord, JobState, Settings
from threadmill.redis.client import blocking
from threadmill.store.keys import Keys
from threadmill.store.scripts import Scripts
from threadmill_cli.local.services import free_port, redis_server
from threadmill_emulator.scripting.options import EXTRAS
from threadmill_worker.store.jobs import JobStore

#: For what takes a second on an idle machine; this one may be slow, and busy.
PATIENCE_S = 60.0

BIN = Path(sys.executable).parent
THREADMILL = str(BIN / "threadmill")
WORKER = (sys.executable, "-m", "threadmill_worker")
EMULATOR = (sys.executable, "-m", "threadmill_emulator")

#: A test, or a row of its parameters, whose jobs go over the Responses API.
RESPONSES = {"wire": "responses", "model": "emulator", "assistant": None}
ON_RESPONSES = pytest.mark.settings(endpoint=RESPONSES)

#: The same for Chat Completions, where a run is one call.
CHAT = {"wire": "chat", "model": "emulator", "assistant": None}
ON_CHAT = pytest.mark.settings(endpoint=CHAT)

#: A test for each wire.
ALL_WIRES = pytest.mark.parametrize(
    "wire", ["assistants", pytest.param("responses", marks=ON_RESPONSES), pytest.param("chat", marks=ON_CHAT)]
)

#: What the server calls runs, by wire.
_RUNS = {"assistants": "runs", "responses": "responses", "chat": "completions"}

LISTENING = re.compile(r"listening on (http://[\d.:]+)")


def until(condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """Waits until a condition is true, and returns its value."""
    give_up_at = time.monotonic() + patience_s
    while not (value := condition()):
        assert time.monotonic() < give_up_at, f"not within {patience_s:.0f} s: {what}"
        time.sleep(0.02)
    return value


class Child(ForkedProcess):
    """A process that a test ends in its own ways."""

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def exit_code(self, within_s: float = PATIENCE_S) -> int:
        """Waits for its end; that of a process killed by signal 9 is -9."""
        return self._process.wait(within_s)

    @property
    def lives(self) -> bool:
        return self._process.poll() is None


class Site:
    """One Redis with its append-only file on, one emulator, any number of workers.

    `fields`: of the settings; `endpoint` among them has those of the endpoint.
    """

    def __init__(self, folder: Path, fields: Mapping[str, Any]) -> None:
        self._folder = folder
        self._children: list[Child] = []
        self._redis_port = free_port()
        self.start_redis()
        extras = ",".join(EXTRAS)  # unused unless the settings of the endpoint enable them
        self.emulator = self.start("emulator", [*EMULATOR, "--port", "0", "--quiet", "--with", extras])
        self.emulator_url = until(lambda: LISTENING.search(self.emulator.log()), "the emulator listens")[1]
        endpoint = {"kind": "emulator", "base_url": f"{self.emulator_url}/api/assts/v1", **fields.get("endpoint", {})}
        self.settings = Settings.model_validate(
            {
                "redis_url": self.redis_url,
                "default_endpoint": "emulator",
                "endpoints": {"emulator": endpoint},
                **{name: value for name, value in fields.items() if name != "endpoint"},
            }
        )
        self.keys = Keys(self.settings.key_prefix)
        self.client = Client(self.settings)
        self.store = blocking(self.redis_url)  #: a bare connection to Redis

    @property
    def redis_url(self) -> str:
        return f"redis://127.0.0.1:{self._redis_port}/0"

    @property
    def environment(self) -> dict[str, str]:
        """Variables that give another process these settings."""
        return environment(self.settings)

    def start(self, name: str, command: Iterable[str], stdin: str = "", **variables: str) -> Child:
        log = self._folder / f"{name}-{len(self._children)}.log"
        child = Child(name, list(command), log, variables, stdin)
        self._children.append(child)
        return child

    def start_redis(self) -> None:
        """Starts Redis on its port, with the data of its file."""
        folder = self._folder / "redis"
        folder.mkdir(exist_ok=True)
        config = f'port {self._redis_port}\nbind 127.0.0.1\ndir "{folder}"\nsave ""\nappendonly yes\n'
        self.redis = self.start("redis", [redis_server(), "-"], config)
        with blocking(self.redis_url) as connection:
            self.redis.wait_until(lambda: answers(connection))

    def kill_redis(self) -> None:
        """Kills Redis after its file holds all confirmed writes; a sync on a busy disk may delay them by 2 s."""
        until(lambda: self.store.info("persistence")["aof_buffer_length"] == 0, "Redis has written its file")
        self.redis.kill()

    def stop_redis(self) -> None:
        self.redis.signal(signal.SIGTERM)
        self.redis.exit_code()

    def begin_worker(self, command: Iterable[str] = WORKER, **variables: str) -> Child:
        """Starts a worker without waiting for it."""
        return self.start("worker", command, **self.environment | variables)

    def start_worker(self, command: Iterable[str] = WORKER, **variables: str) -> Child:
        """Starts a worker, and returns when it is ready."""
        worker = self.begin_worker(command, **variables)
        self.await_worker(worker)
        return worker

    def await_worker(self, worker: Child) -> None:
        worker.wait_until(lambda: any(f":{worker.pid}:" in each.name for each in self.client.store.workers()))

    def enqueue(self, prompts: Iterable[str], **fields: Any) -> dict[str, str]:
        """Enqueues one job per prompt; returns the prompts by job id."""
        asked = list(prompts)
        handles = self.client.enqueue_many([{"prompt": prompt, **fields} for prompt in asked])
        return {handle.id: prompt for handle, prompt in zip(handles, asked, strict=True)}

    def offer_slots(self, number: int) -> None:
        """Offers free slots of a worker that does not exist, so that so many jobs have messages on Celery's queue."""

        async def offer() -> None:
            job_store = JobStore(self.settings, "nobody")
            await job_store.renew([], free_slots=number)
            await job_store.leave()
            await job_store.close()

        asyncio.run(offer())

    def records(self, job_ids: Iterable[str]) -> list[JobRecord]:
        return self.client.store.get_many(job_ids)

    def held_by(self, worker: Child) -> list[str]:
        """The ids of the running jobs of a worker."""
        running = self.records(self.store.zrange(self.keys.jobs(JobState.RUNNING), 0, -1))
        return [record.id for record in running if f":{worker.pid}:" in (record.owner or "")]

    def count(self, state: JobState) -> int:
        """How many jobs are in a state."""
        return self.store.zcard(self.keys.jobs(state))

    def watch(self, job_ids: Iterable[str]) -> None:
        """Has the changes of state of open jobs kept for `moments` until a minute after their end."""
        with self.store.pipeline() as pipe:
            for job_id in job_ids:
                Scripts(self.store, self.keys.prefix).run("jobs/watch", {"id": job_id}, pipe)
                pipe.persist(self.keys.events(job_id))
            pipe.execute()

    def moments(self, job_id: str, state: JobState) -> list[float]:
        """The moments at which a watched job came into a state, in seconds since 1970."""
        entries = self.store.xrange(self.keys.events(job_id))
        return [int(entry.split("-")[0]) / 1000 for entry, fields in entries if fields["state"] == state]

    def await_results(self, job_ids: Iterable[str], patience_s: float) -> list[JobRecord]:
        """The records of jobs, once all have ended."""
        ids = list(job_ids)
        ended = lambda: all(record.result for record in self.records(ids))  # noqa: E731
        until(ended, f"{len(ids)} jobs have ended", patience_s)
        return self.records(ids)

    def stats(self) -> dict[str, Any]:
        return httpx.get(f"{self.emulator_url}/_stats", timeout=PATIENCE_S).raise_for_status().json()

    def runs(self) -> dict[str, Any]:
        """How many runs the server had, by status; a response is a run, and so is a chat completion."""
        return self.stats()[_RUNS[self.wire]]

    @property
    def wire(self) -> str:
        return self.settings.endpoints["emulator"].wire

    def completed_runs(self) -> dict[str, int]:
        """How many runs completed on the server, by job id. Chat completions do not name their job."""
        reply = httpx.get(f"{self.emulator_url}/_stats", params={"by": "threadmill"}, timeout=PATIENCE_S)
        counted: dict[str, int] = {}
        for mark, number in reply.raise_for_status().json()["completed_by"].items():
            job_id = mark.partition("/")[0]
            counted[job_id] = counted.get(job_id, 0) + number
        return counted

    def alive(self) -> int:
        """How many threads, conversations and responses exist."""
        stats = self.stats()
        return sum(stats[kind]["alive"] for kind in ("threads", "conversations", "responses"))

    def faults(self, **plan: Any) -> None:
        httpx.post(f"{self.emulator_url}/_faults", json=plan, timeout=PATIENCE_S).raise_for_status()

    def close(self) -> None:
        self.store.close()
        for child in reversed(self._children):
            child.kill()
