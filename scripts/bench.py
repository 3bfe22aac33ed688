"""Compares threadmill with plain Celery and the SDK's create_and_poll, on this machine.

Both use the same emulator and the same Redis server; the plain side is this file as a Celery app.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
from celery import Celery
from comparison import Comparison

from threadmill import Client, Settings
from threadmill_cli.local.services import Local

plain = Celery("plain", broker=os.environ.get("PLAIN_REDIS"), backend=os.environ.get("PLAIN_REDIS"))
plain.conf.update(task_acks_late=True, worker_prefetch_multiplier=1, task_default_queue="plain")


@plain.task(name="plain.run")
def run(prompt: str) -> float:
    """What a service would write by hand; returns the time at which it had the answer."""
    import openai

    warnings.simplefilter("ignore", DeprecationWarning)
    client = openai.OpenAI(base_url=os.environ["PLAIN_BASE_URL"], api_key="none")
    thread = client.beta.threads.create(messages=[{"role": "user", "content": prompt}])
    run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id="asst_emulator")
    client.beta.threads.messages.list(thread.id, run_id=run.id)
    client.beta.threads.delete(thread.id)
    return time.time()


@dataclass(frozen=True)
class Measured:
    jobs: int
    seconds: float
    calls: float  #: per job
    late_s: float  #: mean time from the end of a run to its result
    memory_mb: float  #: the worker's, children included, shared pages counted once


def measure(
    stats_url: str, worker: psutil.Process, jobs: int, run_s: float, work: Callable[[], list[float]]
) -> Measured:
    """`work` runs the jobs and returns the times of their results."""
    before = _calls(stats_url)
    started = time.time()
    moments = work()
    seconds = max(moments) - started
    family = [worker, *worker.children(recursive=True)]
    memory = sum(each.memory_full_info().pss for each in family) / 1e6
    calls = (_calls(stats_url) - before) / jobs
    return Measured(jobs, seconds, calls, seconds - run_s, memory)


def _calls(stats_url: str) -> int:
    with urllib.request.urlopen(stats_url) as reply:
        return sum(json.load(reply)["calls"].values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200, help="for throughput")
    parser.add_argument("--plain-jobs", type=int, default=8, help="the same for the plain side, which is slow")
    options = parser.parse_args()
    os.environ["THREADMILL_CONCURRENCY"] = str(options.jobs)
    with tempfile.TemporaryDirectory() as folder, Local(Settings.load(), emulator=True, folder=Path(folder)) as local:
        base_url = local.settings.endpoints["emulator"].base_url
        stats_url = base_url.removesuffix("/api/assts/v1") + "/_stats"
        os.environ |= {"PLAIN_REDIS": local.settings.redis_url, "PLAIN_BASE_URL": base_url}
        plain.conf.update(broker_url=local.settings.redis_url, result_backend=local.settings.redis_url)
        client = Client(local.settings)
        client.enqueue({"prompt": "warm up", "endpoint": "emulator"}).wait(60)
        ours = psutil.Process(local.pid("worker"))
        theirs = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "bench", "worker", "-c", str(os.cpu_count()), "-Q", "plain"],
            cwd=Path(__file__).parent,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            run.delay("warm up").get(timeout=60)
            plain_worker = psutil.Process(theirs.pid)

            def by_plain(jobs: int, run_s: float) -> Measured:
                def work() -> list[float]:
                    sent = [run.delay(f"[[run_s={run_s}]] {n}") for n in range(jobs)]
                    return [each.get(timeout=600) for each in sent]

                return measure(stats_url, plain_worker, jobs, run_s, work)

            def by_us(jobs: int, run_s: float) -> Measured:
                def work() -> list[float]:
                    prompts = [{"prompt": f"[[run_s={run_s}]] {n}", "endpoint": "emulator"} for n in range(jobs)]
                    results = [handle.wait(600) for handle in client.enqueue_many(prompts)]
                    assert all(result.ok for result in results)
                    return [result.timings.finished_at.timestamp() for result in results]

                return measure(stats_url, ours, jobs, run_s, work)

            one = by_plain(1, 5), by_us(1, 5)
            many = by_plain(options.plain_jobs, 2), by_us(options.jobs, 2)
        finally:
            theirs.terminate()
            theirs.wait()
    _show(one, many)


def _show(one: tuple[Measured, Measured], many: tuple[Measured, Measured]) -> None:
    table = Comparison(f"{os.cpu_count()} cores, one worker each", "plain Celery + create_and_poll", "threadmill")
    table.row("HTTP calls for a 5 s run", one[0].calls, one[1].calls)
    table.row("result after the end of a 5 s run", one[0].late_s, one[1].late_s, "s")
    table.row("jobs per second, 2 s runs", *(each.jobs / each.seconds for each in many), "/s")
    table.row("jobs in the measurement", *(float(each.jobs) for each in many))
    table.row("memory of the worker", *(each.memory_mb for each in many), "MB")
    per_run = many[0].memory_mb / (os.cpu_count() or 1), many[1].memory_mb / many[1].jobs
    table.row("memory per run in flight", *per_run, "MB")
    table.show()


if __name__ == "__main__":
    main()
