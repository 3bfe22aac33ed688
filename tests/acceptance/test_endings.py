"""How jobs end when workers die, stop or cancel them, and what stays in Redis."""

import os
import signal
import time
from pathlib import Path

import pytest
from tests.acceptance.site import ALL_WIRES, PATIENCE_S, Site, until

from threadmill import FailureKind, JobState

pytestmark = pytest.mark.acceptance

BOMB = """
import os

def bomb() -> str:
    os._exit(0)
"""

TOOLS = {"bomb": {"function": "deadly:bomb"}}


@pytest.mark.settings(lease_s=2, sweep_interval_s=0.5, tools=TOOLS)
def test_a_job_that_kills_its_workers_costs_two_of_them(site, tmp_path, tell):
    (tmp_path / "deadly.py").write_text(BOMB)
    innocents = site.enqueue((f"[[scenario=echo run_s=4]]\nQuestion {n}" for n in range(12)), timeout_s=180)
    began = time.monotonic()
    job = site.client.enqueue({"prompt": "[[scenario=tools run_s=0.2]]Well?", "tools": ["bomb"]})
    for _ in range(2):
        assert site.start_worker(PYTHONPATH=_path(tmp_path)).exit_code() == 0, "it ended itself"
    last = site.start_worker(PYTHONPATH=_path(tmp_path))
    result = job.wait(timeout_s=2 * PATIENCE_S)

    assert (result.state, result.failure.kind) == (JobState.FAILED, FailureKind.ATTEMPTS_EXHAUSTED)
    assert "3 processes in a row ended" in result.failure.message
    assert "ran nothing else, ended with code 0" in result.failure.message
    assert (result.attempts, result.runs) == (3, 1)
    tell(f"2 workers and the job's own process ended, the job failed after {time.monotonic() - began:.1f} s")
    records = site.await_results(innocents, PATIENCE_S)
    assert [record.result.text for record in records] == [f"Question {n}" for n in range(12)]
    assert site.completed_runs() == dict.fromkeys(innocents, 1)
    until(lambda: site.alive() == 0, "nothing is left, and no run is active")
    assert last.lives
    tell(
        f"of 12 other jobs {sum(record.attempts > 1 for record in records)} lost a worker: all succeeded, one run each"
    )


@pytest.mark.settings(lease_s=2, sweep_interval_s=0.5)
def test_kills_alone_fail_no_job(site, tell):
    """Five workers in a row are killed during one run, in which the jobs make no progress."""
    jobs = site.enqueue(f"[[run_s=25]]\nQuestion {n}" for n in range(10))
    for _ in range(5):
        worker = site.start_worker()
        until(lambda worker=worker: len(site.held_by(worker)) == 10, "it holds all jobs")
        worker.kill()
    site.start_worker()
    records = site.await_results(jobs, 4 * PATIENCE_S)

    assert [record.state for record in records] == [JobState.SUCCEEDED] * 10
    assert site.completed_runs() == dict.fromkeys(jobs, 1)
    assert site.runs()["created"] == 10
    tell(f"5 workers killed during one run of 10 jobs: 10 answers, {max(r.attempts for r in records)} attempts")


@pytest.mark.settings(lease_s=2, sweep_interval_s=0.5)
def test_a_stopped_process_costs_no_job(site):
    """Each of two workers is stopped until the other has taken over its jobs, and then continues."""
    jobs = site.enqueue(f"[[run_s=10]]\nQuestion {n}" for n in range(10))
    workers = [site.start_worker()]
    until(lambda: len(site.held_by(workers[0])) == 10, "it holds all jobs")
    workers.append(site.start_worker())
    for frozen, other in (workers, reversed(workers)):
        frozen.signal(signal.SIGSTOP)
        until(lambda other=other: len(site.held_by(other)) == 10, "the other has taken them over")
        frozen.signal(signal.SIGCONT)
    records = site.await_results(jobs, 4 * PATIENCE_S)

    assert [record.state for record in records] == [JobState.SUCCEEDED] * 10
    assert site.completed_runs() == dict.fromkeys(jobs, 1)
    assert all(worker.lives for worker in workers)


def _path(folder: Path) -> str:
    """PYTHONPATH with the folder first."""
    return os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])


@pytest.mark.settings(concurrency=3)
@ALL_WIRES
def test_a_running_job_is_cancelled_whichever_worker_holds_it(site, tell, wire):
    workers = [site.start_worker(), site.start_worker()]
    jobs = site.enqueue(f"[[run_s=60]]Question {n}" for n in range(6))
    until(lambda: site.runs()["created"] == 6 and all(map(site.held_by, workers)), "both hold some")
    asked = time.monotonic()
    for job_id in jobs:
        assert site.client.cancel(job_id) is JobState.RUNNING
    records = site.await_results(jobs, PATIENCE_S)
    took_s = time.monotonic() - asked

    assert {record.state for record in records} == {JobState.CANCELLED}
    stopped = {"hung_up" if wire == "chat" else "cancelled": 6}
    until(lambda: site.runs()["by_status"] == stopped, "the server has stopped its work")
    assert site.alive() == 0
    assert took_s < 45
    tell(f"{wire}: 6 running jobs of two workers: cancelled, runs stopped and nothing left in {took_s:.1f} s")


#: Prefixes of keys of Celery: bindings, and unacknowledged messages.
CELERY_KEYS = ("_kombu.binding", "unacked")


def test_ended_jobs_expire_and_open_jobs_stay(site, tell):
    client, night = site.client, {"batch": "night"}
    waiting = client.enqueue({"prompt": "[[run_s=60]]Well?", "key": "long", **night})
    withdrawn = client.enqueue({"prompt": "[[run_s=0]]Well?", **night})
    assert withdrawn.cancel() is JobState.CANCELLED
    assert {site.keys.record(waiting.id), f"{site.keys.prefix}:key:long", site.keys.batch("night")} <= _kept(site)
    assert site.keys.record(withdrawn.id) not in _kept(site)

    worker = site.start_worker()
    succeeded = client.enqueue({"prompt": "[[run_s=0]]Well?", "key": "short", **night})
    failed = client.enqueue({"prompt": "[[scenario=invalid_prompt run_s=0]]Well?", **night})
    redriven = client.enqueue({"prompt": "[[scenario=quota run_s=0]]Well?", "key": "again", **night})
    assert [each.wait(PATIENCE_S).state for each in (succeeded, failed, redriven)] == ["succeeded", "failed", "failed"]
    until(lambda: site.held_by(worker) == [waiting.id], "the long one runs")
    assert client.redrive(redriven.id) is JobState.QUEUED
    until(lambda: redriven.get().result, "it ran again")
    assert {site.keys.record(waiting.id), f"{site.keys.prefix}:key:long", site.keys.batch("night")} <= _kept(site)
    for ended in (succeeded, failed, redriven, withdrawn):
        assert site.keys.record(ended.id) not in _kept(site)

    waiting.cancel()
    assert waiting.wait(PATIENCE_S).state is JobState.CANCELLED
    permanent = {name for name in _kept(site) if not name.startswith(CELERY_KEYS)}
    assert permanent == {site.keys.queue_counts}, "only this count and keys of Celery never expire"
    tell(f"keys that never expire: {', '.join(sorted(_kept(site)))}")


def _kept(site: Site) -> set[str]:
    """All keys in this Redis that never expire."""
    return {name for name in site.store.scan_iter(count=1000) if site.store.ttl(name) == -1}
