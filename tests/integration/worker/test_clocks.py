"""A worker on a machine whose clock is a minute off; the clocks of Redis and of the client are right."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests import shared
from typer.testing import CliRunner

import threadmill_cli  # noqa: F401
from threadmill import Client, FailureKind
from threadmill.queue import TASK, make_app
from threadmill_cli.app import app
from threadmill_cli.local.processes import Process

pytestmark = pytest.mark.integration

emulator, base_url = shared.emulator, shared.base_url

#: Less than a minute, the error of the clocks.
PATIENCE_S = 40.0

WORKER = Path(__file__).parent / "wrong_clock.py"


@pytest.fixture(scope="module", params=[60, -60], ids=["ahead", "behind"])
def ahead_s(request):
    return request.param


@pytest.fixture(scope="module")
def start(settings_as_environment, tmp_path_factory):
    """Starts a worker on a machine whose clock is ahead by so many seconds."""
    started = []

    def start_worker(settings, ahead_s) -> Process:
        command = [sys.executable, "-B", str(WORKER), str(ahead_s), "--concurrency", "20"]
        log = tmp_path_factory.mktemp("worker") / "worker.log"
        process = Process("worker", command, log, settings_as_environment(settings))
        started.append(process)
        process.wait_until(lambda: "worker started" in process.log())
        return process

    yield start_worker
    for process in started:
        process.kill()


@pytest.fixture(scope="module")
def settings(make_settings, base_url, ahead_s):
    return make_settings(base_url)


@pytest.fixture(scope="module")
def process(start, settings, ahead_s):
    return start(settings, ahead_s)


def in_order(result) -> bool:
    timings = result.timings
    return timings.created_at <= timings.started_at <= timings.finished_at <= datetime.now(UTC) + timedelta(seconds=1)


@pytest.mark.usefixtures("process")
def test_jobs_have_the_time_that_they_were_given(client):
    soon = datetime.now(UTC) + timedelta(seconds=PATIENCE_S)
    jobs = client.enqueue_many({"prompt": f"Question {n}", "timeout_s": 60} for n in range(13))
    jobs += client.enqueue_many({"prompt": f"Question {n}", "deadline_at": soon} for n in range(3))
    tools = client.enqueue({"prompt": "[[scenario=tools]]Well?", "assistant": "asst_tools", "timeout_s": 60})
    results = [job.wait(PATIENCE_S) for job in [*jobs, tools]]
    assert [result.state for result in results] == ["succeeded"] * 17
    assert all(map(in_order, results))

    overdue = client.enqueue({"prompt": "[[run_s=600]]Well?", "timeout_s": 2}).wait(PATIENCE_S)
    assert overdue.failure.kind is FailureKind.OVERDUE
    assert overdue.timings.finished_at - overdue.timings.started_at >= timedelta(seconds=2)
    assert in_order(overdue)
    missed = client.enqueue({"prompt": "Well?", "deadline_at": datetime.now(UTC) - timedelta(seconds=1)})
    assert missed.wait(PATIENCE_S).failure.kind is FailureKind.OVERDUE


@pytest.mark.usefixtures("process")
def test_a_message_expires_when_its_sender_says(settings):
    shop = make_app(settings)
    task = {"args": [{"prompt": "Well?"}], "queue": settings.queue}
    in_time, late = shop.send_task(TASK, **task, expires=PATIENCE_S), shop.send_task(TASK, **task, expires=-1)

    assert in_time.get(timeout=PATIENCE_S)["state"] == "succeeded"
    assert late.get(timeout=PATIENCE_S)["failure"]["kind"] == "overdue"


def test_a_job_moves_to_a_worker_whose_clock_is_two_minutes_apart(make_settings, base_url, start, ahead_s, until):
    settings = make_settings(base_url, sweep_interval_s=0.5)
    client, first = Client(settings), start(settings, ahead_s)
    job = client.enqueue({"prompt": "[[run_s=3]]Well?", "timeout_s": 100})
    until(lambda: client.get(job.id).progress_summary and client.get(job.id).progress_summary.run)
    first.kill()
    start(settings, -ahead_s)
    result = job.wait(PATIENCE_S)
    assert (result.state, result.runs) == ("succeeded", 1)
    assert in_order(result)


def test_a_wrong_clock_is_named(client, settings, settings_as_environment, process, ahead_s, monkeypatch, tmp_path):
    [worker] = client.workers()
    assert worker.clock_skew_s == pytest.approx(ahead_s, abs=2)
    assert worker.seen_at <= client.store.now() + timedelta(seconds=1)
    assert "clock skew" in process.log()
    assert "NTP" in process.log()

    for name, value in settings_as_environment(settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(app, ["workers"])
    way = "ahead of" if ahead_s > 0 else "behind"
    assert f" s {way} Redis' clock; synchronise it with NTP" in said.output
