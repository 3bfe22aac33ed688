"""`celery multi` starts, restarts and stops workers that are daemons, each with a log and a pid file of its own."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from tests.acceptance.site import PATIENCE_S, until

from threadmill import JobState

pytestmark = pytest.mark.acceptance

JOBS = 40


@pytest.fixture
def multi(site, tmp_path):
    """Runs `celery multi COMMAND` for two workers."""

    def call(command):
        done = subprocess.run(
            [sys.executable, "-m", "celery", "multi", command, "2", "-A", "threadmill_worker", "-c", "50", "-l", "info",
             f"--pidfile={tmp_path}/%n.pid", f"--logfile={tmp_path}/%n.log"],
            env=os.environ | site.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=3 * PATIENCE_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout

    yield call
    for path in tmp_path.glob("*.pid"):  # of a test that failed
        os.kill(int(path.read_text()), signal.SIGKILL)


def begin(site, run_s, already=0):
    jobs = site.enqueue(f"[[scenario=echo run_s={run_s}]]Question {n}" for n in range(JOBS))
    until(lambda: site.runs()["created"] == already + JOBS, "all jobs are in flight")
    return jobs


def test_workers_are_restarted_and_stopped_without_a_job_lost_or_run_twice(site, multi, tmp_path, tell):
    multi("start")
    first = until(lambda: len(found := {each.name for each in site.client.workers()}) == 2 and found, "both run")
    answered = begin(site, run_s=3)
    asked = time.monotonic()
    multi("restart")
    until(lambda: len({each.name for each in site.client.workers()} - first) == 2, "two others run")
    tell(f"2 workers restarted by celery multi in {time.monotonic() - asked:.1f} s, with {JOBS} jobs in flight")
    records = site.await_results(answered, PATIENCE_S)
    assert {(record.state, record.attempts) for record in records} == {(JobState.SUCCEEDED, 1)}
    assert site.completed_runs() == dict.fromkeys(answered, 1)

    interrupted = begin(site, run_s=60, already=JOBS)
    multi("stopwait")
    assert {(record.state, record.attempts, record.owner) for record in site.records(interrupted)} == {
        (JobState.QUEUED, 0, None)
    }
    assert not list(tmp_path.glob("*.pid"))
    for name in ("celery1", "celery2"):
        events = [json.loads(line)["event"] for line in (tmp_path / f"{name}.log").read_text().splitlines()]
        assert events.count("worker started") == events.count("worker stopped") == 2
