"""Compares the CPU time of a worker for jobs that are streamed and followed with that for the same jobs polled.

Emulator, Redis, worker and followers are separate processes; the followers run this file.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil
from comparison import Comparison

from threadmill import Client, EventKind, Settings
from threadmill_cli.local.services import Local

#: What a model writes: a delta is a token of it.
WORDS = "The quick brown fox jumps over the lazy dog, and then it does so once more. "


@dataclass(frozen=True)
class Measured:
    cpu_s: float  #: of the worker process
    calls: float  #: per job
    pieces: float  #: of text that a follower received, per job


def follow(job_ids: Sequence[str]) -> int:
    """Follows all jobs at once; returns the number of pieces of text received."""
    client = Client()

    def pieces_of(job_id: str) -> int:
        events = list(client.follow(job_id, timeout_s=600))
        told = "".join(event.text or "" for event in events if event.kind is EventKind.TEXT)
        assert told.strip() == client.get(job_id).result.text.strip(), "a follower receives the whole text"  # type: ignore[union-attr]
        return sum(event.kind is EventKind.TEXT for event in events)

    with ThreadPoolExecutor(len(job_ids)) as threads:
        return sum(threads.map(pieces_of, job_ids))


def measure(client: Client, worker: psutil.Process, here: Local, prompts: list[str], stream: bool) -> Measured:
    before = sum(worker.cpu_times()[:2])
    jobs = [
        {"prompt": prompt, "endpoint": "emulator", "assistant": "asst_echo", "stream": stream} for prompt in prompts
    ]
    job_ids = [handle.id for handle in client.enqueue_many(jobs)]
    pieces = 0
    if stream:
        told = subprocess.run(
            [sys.executable, __file__, "--follow", *job_ids],
            env={**os.environ, **here.environment},
            stdout=subprocess.PIPE,
            check=True,
        )
        pieces = int(told.stdout)
    results = [client.wait(job_id, 600) for job_id in job_ids]
    assert all(result.ok for result in results)
    cpu_s = sum(worker.cpu_times()[:2]) - before
    return Measured(cpu_s, sum(result.calls for result in results) / len(results), pieces / len(results))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=50)
    parser.add_argument("--deltas", type=int, default=500, help="of each job")
    parser.add_argument("--run-s", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3, help="of both, alternating")
    parser.add_argument("--follow", nargs="+", metavar="JOB", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.follow:
        sys.stdout.write(str(follow(options.follow)))
        return
    text = (WORDS * (options.deltas // len(WORDS.split()) + 1)).strip()
    prompts = [f"[[deltas={options.deltas} run_s={options.run_s}]]{n} {text}" for n in range(options.jobs)]
    os.environ["THREADMILL_CONCURRENCY"] = str(options.jobs)
    with tempfile.TemporaryDirectory() as folder, Local(Settings.load(), emulator=True, folder=Path(folder)) as here:
        client, worker = Client(here.settings), psutil.Process(here.pid("worker"))
        for stream in (False, True):
            measure(client, worker, here, ["[[run_s=1]]warm up"], stream)
        pairs = [
            [measure(client, worker, here, prompts, stream) for stream in (False, True)] for _ in range(options.rounds)
        ]
    _show(options, [polled for polled, _ in pairs], [followed for _, followed in pairs])


def _show(options: argparse.Namespace, polled: list[Measured], followed: list[Measured]) -> None:
    title = f"{options.jobs} jobs of {options.deltas} deltas in {options.run_s:g} s, {options.rounds} rounds"
    table = Comparison(title, "polled", "streamed and followed")
    for name, field, unit in (
        ("CPU of the worker", "cpu_s", "s"),
        ("HTTP calls per job", "calls", ""),
        ("pieces of text received per job", "pieces", ""),
    ):
        means = (sum(getattr(each, field) for each in side) / len(side) for side in (polled, followed))
        table.row(name, *means, unit)
    for number, (one, other) in enumerate(zip(polled, followed, strict=True), start=1):
        table.row(f"CPU, round {number}", one.cpu_s, other.cpu_s, "s")
    table.show()


if __name__ == "__main__":
    main()
