"""Measures how long each page of the dashboard takes, and Redis with it, over very many jobs: a million by default.

The exit code is 1 if a page takes longer than it may by more than a tenth.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import httpx
import redis
from bench_gateway import Server
from bench_speed import machine
from dashboard_cases.filling import HUGE, Filled, fill
from measured import Measured, missed, show
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from servers.own_redis import own_redis

from threadmill import Client, Settings
from threadmill.store.keys import Keys

_EXAMPLE = "example: scripts/bench dashboard --jobs 100000     a minute; a million take five, and 3 GB of memory"
_PAGE_MS = 100
_TIMES = 15
_QUEUED = 2_000
_ACCEPT = {"Accept": "text/html"}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/bench dashboard",
        description=__doc__,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--jobs", type=int, default=1_000_000, metavar="N", help="default: 1,000,000; at least 10,000")
    parser.add_argument("--batches", type=int, default=1_000, metavar="N", help="default: 1,000; at least 10")
    given = parser.parse_args()
    if given.jobs < 10_000 or given.batches < 10:
        parser.error("give at least 10,000 jobs and 10 batches")
    load = os.getloadavg()[0]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = stack.enter_context(own_redis(folder))
        redis_url = f"redis://127.0.0.1:{port}/0"
        settings = Settings(redis_url=redis_url, default_endpoint="emulator")
        connection = redis.Redis(port=port)
        filled = _filled(connection, settings, given.jobs, given.batches)
        server = Server(
            "gateway", [sys.executable, "-m", "threadmill_gateway", "--log-level", "error"], redis_url, folder
        )
        stack.callback(server.process.stop)
        values = list(_pages(server, connection, filled))
        values.append(Measured("memory of the gateway", server.memory_mb(), "MB"))
        values.append(Measured("memory of Redis", connection.info("memory")["used_memory"] / 1e9, "GB"))
    Console().print(machine(load))
    show(f"Pages over {given.jobs:,} jobs in {given.batches:,} batches: the median of {_TIMES}", values)
    return 1 if missed("dashboard", values) else 0


def _filled(connection: redis.Redis, settings: Settings, jobs: int, batches: int) -> Filled:
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task("filling Redis", total=jobs)
        keys = Keys(settings.key_prefix)
        filled = fill(connection, keys, jobs, batches, lambda done: shown.update(task, completed=done))
    queued = [{"prompt": f"Well, {number}?", "batch": "waiting"} for number in range(_QUEUED)]
    Client(settings).enqueue_many(queued)
    return filled


def _paths(filled: Filled) -> dict[str, str]:
    """Returns the pages by what they show."""
    return {
        "tonight": "/",
        "batches": "/batches",
        "batches by name": "/batches?search=batch-99",
        "a batch": f"/batches/{filled.batch}",
        "the largest batch": f"/batches/{HUGE}",
        "its failed documents": f"/batches/{HUGE}?failure=quota",
        "its documents by a name that none has": f"/batches/{HUGE}?search=nothing",
        "a result": f"/batches/{filled.batch}/results?job={filled.job}",
        "the first result of the largest batch": f"/batches/{HUGE}/results",
        "jobs": "/jobs",
        "jobs that failed": "/jobs?state=failed",
        "jobs by failure": "/jobs?failure=quota",
        "jobs by failure and batch": f"/jobs?failure=quota&batch={filled.batch}",
        "jobs by rare metadata": "/jobs?metadata=order%3Djob-5",
        "a job": f"/jobs/{filled.job}",
        "playground": "/playground",
        "reports": "/reports",
        "kept threads": "/threads",
    }


def _pages(server: Server, connection: redis.Redis, filled: Filled) -> Iterator[Measured]:
    with httpx.Client(base_url=server.url, headers=_ACCEPT, timeout=60) as http:
        for what, path in _paths(filled).items():
            status = http.get(path).status_code
            if status != 200:
                sys.stderr.write(f"{what}: {path} answers with {status}, and is left out\n")
                continue
            before, cpu_s, times = _redis_s(connection), server.cpu_s(), []
            for _ in range(_TIMES):
                began = time.perf_counter()
                http.get(path).raise_for_status()
                times.append((time.perf_counter() - began) * 1000)
            redis_ms = (_redis_s(connection) - before) / _TIMES * 1000
            yield Measured(what, median(times), "ms", at_most=_PAGE_MS)
            cpu_ms = (server.cpu_s() - cpu_s) / _TIMES * 1000
            yield Measured(f"  its CPU; Redis {redis_ms:.2f} ms; longest {max(times):.0f} ms", cpu_ms, "ms")


def _redis_s(connection: redis.Redis) -> float:
    """Returns the time that Redis has spent in commands."""
    return float(sum(each["usec"] for each in connection.info("commandstats").values()) / 1e6)


if __name__ == "__main__":
    sys.exit(main())
