"""Measures a large batch: how fast documents are enqueued, whether memory grows, and what kills cost.

Redis, the emulator (runs of 0 s), one worker and the command are separate processes. First, documents are enqueued
without a worker. Then others are answered while the command, the worker and Redis are killed together several times.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import redis
from rich.console import Console
from rich.table import Table

from threadmill import Client, Settings
from threadmill_cli.local.processes import Process
from threadmill_cli.local.services import free_port, redis_server

_LISTENING = re.compile(r"listening on (http://[\d.:]+)")

PROMPT = "[[run_s=0]]\nSummarise:\n{{ text }}"


@dataclass
class Memory:
    """What processes take, in MB, over time."""

    samples: list[float] = field(default_factory=list)

    def take(self, process: psutil.Process) -> None:
        self.samples.append(process.memory_info().rss / 1e6)

    @property
    def early(self) -> float:
        """After a tenth of the time."""
        return self.samples[len(self.samples) // 10]


class Site:
    """The processes of a run, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._port = free_port()
        self._number = 0
        self.processes: dict[str, Process] = {}
        self.start_redis()
        emulator = self._start("emulator", [sys.executable, "-m", "threadmill_emulator", "--port", "0", "--quiet"])
        emulator.wait_until(lambda: _LISTENING.search(emulator.log()) is not None)
        self.emulator_url = _LISTENING.findall(emulator.log())[0]
        self.variables = {
            "THREADMILL_REDIS_URL": f"redis://127.0.0.1:{self._port}/0",
            "THREADMILL_ENDPOINTS__EMULATOR__BASE_URL": f"{self.emulator_url}/api/assts/v1",
            "THREADMILL_DEFAULT_ENDPOINT": "emulator",
            "THREADMILL_LEASE_S": "5",
            "THREADMILL_SWEEP_INTERVAL_S": "1",
        }
        os.environ |= self.variables
        self.client = Client(Settings.load())

    def _start(self, name: str, command: list[str], stdin: str = "", **variables: str) -> Process:
        self._number += 1
        process = Process(name, command, self.folder / f"{name}-{self._number}.log", variables, stdin)
        self.processes[name] = process
        return process

    def start_redis(self) -> None:
        config = f'port {self._port}\nbind 127.0.0.1\ndir "{self.folder}"\nsave ""\nappendonly yes\n'
        process = self._start("redis", [redis_server(), "-"], config)
        with redis.Redis(port=self._port) as connection:
            process.wait_until(lambda: _answers(connection))

    def start_worker(self) -> None:
        self._start("worker", [sys.executable, "-m", "threadmill_worker"], **self.variables)

    def start_batch(self, docs: Path, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "threadmill", "batch", str(docs), "--prompt", PROMPT, *options]
        return subprocess.Popen(command, cwd=self.folder, stderr=subprocess.DEVNULL)

    def runs(self) -> int:
        with urllib.request.urlopen(f"{self.emulator_url}/_stats") as reply:
            return int(json.load(reply)["runs"]["created"])

    def stop(self) -> None:
        for process in self.processes.values():
            process.stop()


def enqueue(site: Site, docs: Path, number: int) -> tuple[float, Memory]:
    """Documents per second, from the command's start, and its memory."""
    memory, name = Memory(), "enqueued"
    options = ("--name", name, "--out", f"{name}.jsonl", "--max-in-flight", str(number))
    started = time.monotonic()
    with site.start_batch(docs, *options) as command:
        watched = psutil.Process(command.pid)
        _await(lambda: name in {batch.name for batch in site.client.batches()}, lambda: memory.take(watched))
        _await(lambda: site.client.batch(name).total >= number, lambda: memory.take(watched))
        rate = number / (time.monotonic() - started)
        command.send_signal(signal.SIGINT)
    with redis.Redis.from_url(site.variables["THREADMILL_REDIS_URL"]) as connection:
        connection.flushall()
    return rate, memory


def answer(site: Site, docs: Path, number: int, kills: int) -> tuple[float, dict[str, Memory], list[dict[str, str]]]:
    """Documents per second, the memory of each process, the lines of the results."""
    out = site.folder / "results.jsonl"
    memories = {"command": Memory(), "worker": Memory(), "redis": Memory()}
    site.start_worker()
    command = site.start_batch(docs, "--out", out.name)
    started = time.monotonic()
    for kill in range(kills + 1):
        stop_at = number * (kill + 1) // (kills + 1)
        pids = {"command": command.pid, "worker": site.processes["worker"].pid, "redis": site.processes["redis"].pid}
        watched = {name: psutil.Process(pid) for name, pid in pids.items()}

        def sample(watched: dict[str, psutil.Process] = watched, last: bool = kill == kills) -> None:
            for name, process in watched.items():
                if last and process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                    memories[name].take(process)

        if kill == kills:
            _await(lambda: command.poll() is not None, sample)  # noqa: B023
            break
        _await(lambda: _lines(out) >= stop_at, sample)  # noqa: B023
        for process in watched.values():
            process.kill()
        psutil.wait_procs(watched.values(), timeout=30)
        command.wait()
        site.start_redis()
        site.start_worker()
        command = site.start_batch(docs, "--out", out.name)
    lines = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    return number / (time.monotonic() - started), memories, lines


def _await(condition: Callable[[], bool], meanwhile: Callable[[], None]) -> None:
    while not condition():
        meanwhile()
        time.sleep(0.25)


def _lines(out: Path) -> int:
    return out.read_bytes().count(b"\n") if out.exists() else 0


def _answers(connection: redis.Redis) -> bool:
    try:
        return bool(connection.ping())
    except redis.ConnectionError:
        return False


def _documents(folder: Path, number: int) -> Path:
    folder.mkdir()
    for each in range(number):
        (folder / f"{each:06}.txt").write_text(f"The text of document {each}: " + "pump and valve, " * 20)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--enqueue", type=int, default=100_000, metavar="N", help="documents to enqueue alone; 0: none")
    parser.add_argument("--documents", type=int, default=10_000, metavar="N", help="to have answered; 0: none")
    parser.add_argument("--kills", type=int, default=2, help="of command, worker and Redis together")
    options = parser.parse_args()
    table = Table(title="A large batch")
    for column in ("", "MB at a tenth", "MB at most", "ratio", ""):
        table.add_column(column, justify="left" if not column else "right")

    def row(name: str, memory: Memory, remark: str = "") -> None:
        most = max(memory.samples)
        table.add_row(name, f"{memory.early:.0f}", f"{most:.0f}", f"{most / memory.early:.2f}", remark)

    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        try:
            if options.enqueue:
                rate, memory = enqueue(site, _documents(site.folder / "many", options.enqueue), options.enqueue)
                row(f"enqueueing {options.enqueue:,}", memory, f"{rate:,.0f} documents/s")
            said = ""
            if options.documents:
                docs = _documents(site.folder / "docs", options.documents)
                rate, memories, lines = answer(site, docs, options.documents, options.kills)
                for name, memory in memories.items():
                    row(f"answering {options.documents:,}, the last of {options.kills + 1} runs: {name}", memory)
                said = _counts(lines, options.documents, site.runs(), rate)
        finally:
            site.stop()
    Console().print(table)
    Console().print(said)


def _counts(lines: list[dict[str, str]], documents: int, runs: int, rate: float) -> str:
    distinct = len({line["path"] for line in lines})
    good = sum(line["state"] == "succeeded" for line in lines)
    return (
        f"{len(lines):,} lines of {distinct:,} documents, {good:,} succeeded; {runs:,} runs on the server for "
        f"{documents:,} documents ({runs / documents:.4f}); {rate:.0f} documents/s, kills included"
    )


if __name__ == "__main__":
    main()
