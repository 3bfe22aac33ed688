"""`threadmill worker --processes 2`: real processes, signals and kills."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.acceptance.site import PATIENCE_S, THREADMILL, WORKER, until

from threadmill import JobState
from threadmill_cli.local.services import free_port

pytestmark = pytest.mark.acceptance

TWO = (*WORKER, "--processes", "2", "--concurrency", "10")


def lines(text):
    """The log lines, each of which is whole."""
    return [json.loads(line) for line in text.splitlines()]


def pids(site):
    """The ids of the worker processes that are alive, from `threadmill workers`."""
    return {int(worker.name.split(":")[1]) for worker in site.client.workers()}


def begin(site, count=2):
    """Starts a supervisor; returns it with the ids of its processes."""
    supervisor = site.begin_worker(TWO)
    return supervisor, until(lambda: len(found := pids(site)) == count and found, "both processes run")


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def states(site, jobs):
    return {(record.state, record.attempts, record.owner) for record in site.records(jobs)}


HANDED_BACK = {(JobState.QUEUED, 0, None)}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_both_processes_hand_all_jobs_back(site, tell, number):
    supervisor, members = begin(site)
    jobs = site.enqueue(f"[[scenario=echo run_s=20]]Question {n}" for n in range(20))
    until(lambda: site.runs()["created"] == 20, "all jobs are in flight")
    owners = {int(record.owner.split(":")[1]) for record in site.records(jobs)}
    asked = time.monotonic()
    supervisor.signal(number)

    assert supervisor.exit_code() == 0, supervisor.log()
    tell(f"2 processes gone {time.monotonic() - asked:.2f} s after {signal.Signals(number).name}, 20 jobs handed back")
    assert owners == members, "both had jobs"
    assert states(site, jobs) == HANDED_BACK
    assert all(gone(pid) for pid in members)
    told = lines(supervisor.log())
    assert (told[0]["event"], told[0]["slots"]) == ("supervisor started", 20)
    assert {line["pid"] for line in told if line["event"] == "worker stopped"} == members


def test_a_signal_to_all_processes_at_once_loses_no_job(site):
    """As systemd sends it by default."""
    supervisor, members = begin(site)
    jobs = site.enqueue(f"[[scenario=echo run_s=20]]Question {n}" for n in range(20))
    until(lambda: site.runs()["created"] == 20, "all jobs are in flight")
    for pid in members:
        os.kill(pid, signal.SIGTERM)
    supervisor.signal(signal.SIGTERM)

    assert supervisor.exit_code() == 0, supervisor.log()
    assert states(site, jobs) == HANDED_BACK


@pytest.mark.settings(lease_s=2, sweep_interval_s=0.5)
def test_a_killed_process_is_replaced_and_its_jobs_are_rescued(site):
    supervisor, members = begin(site)
    jobs = site.enqueue(f"[[scenario=echo run_s=6]]Question {n}" for n in range(20))
    until(lambda: site.runs()["created"] == 20, "all jobs are in flight")
    victim = min(members)
    os.kill(victim, signal.SIGKILL)

    until(lambda: len(pids(site) - members) == 1, "a new process runs")
    records = site.await_results(jobs, PATIENCE_S)
    assert {record.state for record in records} == {JobState.SUCCEEDED}
    assert site.completed_runs() == dict.fromkeys(jobs, 1)
    [ended] = [line for line in lines(supervisor.log()) if line["event"] == "worker process ended"]
    assert (ended["pid"], ended["signal"], ended["again_in_s"]) == (victim, "SIGKILL", 1)


def test_the_processes_of_a_killed_supervisor_hand_their_jobs_back_and_end(site):
    supervisor, members = begin(site)
    jobs = site.enqueue(f"[[scenario=echo run_s=20]]Question {n}" for n in range(20))
    until(lambda: site.runs()["created"] == 20, "all jobs are in flight")
    supervisor.kill()

    until(lambda: all(gone(pid) for pid in members), "the processes have ended")
    assert states(site, jobs) == HANDED_BACK


def test_asked_twice_all_end_at_once(site):
    supervisor, members = begin(site)
    jobs = site.enqueue(f"[[run_s=60]]Question {n}" for n in range(20))
    until(lambda: site.runs()["created"] == 20, "all jobs are in flight")
    site.redis.signal(signal.SIGSTOP)  # so that nothing can be handed back, and the first signal takes long
    supervisor.signal(signal.SIGTERM)
    until(lambda: supervisor.log().count("worker stopping") == 2, "both heard the first signal")
    assert supervisor.lives
    supervisor.signal(signal.SIGTERM)

    assert supervisor.exit_code() == 128 + signal.SIGTERM
    until(lambda: all(gone(pid) for pid in members), "the processes have ended")
    site.redis.signal(signal.SIGCONT)
    assert {record.state for record in site.records(jobs)} == {JobState.RUNNING}


def test_processes_that_redis_refuses_are_not_started_again(site):
    site.store.config_set("requirepass", "s3cret")
    supervisor = site.begin_worker(TWO)

    assert supervisor.exit_code() == 2
    told = supervisor.log()
    assert "password" in told
    assert "worker process ended" not in told


def test_ctrl_c_in_a_terminal_is_no_second_signal(site):
    """The terminal sends it to all processes of its foreground group; the jobs are handed back all the same."""
    terminal, end = pty.openpty()
    supervisor = subprocess.Popen(
        [sys.executable, "-c", "import os, sys, fcntl, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
         "os.execv(sys.argv[1], sys.argv[1:])", THREADMILL, "worker", *TWO[3:]],
        stdin=end, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | site.environment,
    )  # fmt: skip
    os.close(end)
    try:
        members = until(lambda: len(found := pids(site)) == 2 and found, "both processes run")
        jobs = site.enqueue(f"[[scenario=echo run_s=20]]Question {n}" for n in range(20))
        until(lambda: site.runs()["created"] == 20, "all jobs are in flight")
        os.write(terminal, b"\x03")

        assert supervisor.wait(PATIENCE_S) == 0
        assert states(site, jobs) == HANDED_BACK
        assert all(gone(pid) for pid in members)
    finally:
        supervisor.kill()
        supervisor.wait()
        os.close(terminal)


def test_both_processes_on_one_port(site):
    """Probes and scrapes ask the supervisor; a process that is started again is on the same page."""
    port = free_port()
    variables = {"THREADMILL_WORKER_MONITORING_HOST": "127.0.0.1"}
    site.begin_worker((*TWO, "--metrics-port", str(port), "--health-port", str(port)), **variables)
    members = until(lambda: len(found := pids(site)) == 2 and found, "both processes run")
    site.await_results(site.enqueue(f"Question {n}" for n in range(20)), PATIENCE_S)

    def page(path):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_S) as reply:
            return reply.read().decode()

    def claims():
        families = text_string_to_metric_families(page("/metrics"))
        [found] = [family for family in families if family.name == "threadmill_claims"]
        return {sample.labels["process"]: sample.value for sample in found.samples}

    until(lambda: sum(claims().values()) == 20 and claims().keys() == {"1", "2"}, "all claims are counted")
    assert json.loads(page("/livez"))["processes"].keys() == {"1", "2"}
    os.kill(min(members), signal.SIGKILL)
    until(lambda: len(pids(site) - members) == 1, "a new process runs")
    until(
        lambda: all(each["status"] == "ok" for each in json.loads(page("/readyz"))["processes"].values()), "it is ready"
    )
    assert min(claims().values()) == 0, "the new process counts from the start"
