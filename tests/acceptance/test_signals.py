"""SIGTERM and Ctrl-C: each job is handed back with its progress, and the next worker continues it."""

import signal
import time

import pytest
from tests.acceptance.site import BIN, ON_CHAT, ON_RESPONSES, THREADMILL, WORKER, until

from threadmill import JobState

pytestmark = pytest.mark.acceptance

COMMANDS = {
    "python -m threadmill_worker": WORKER,
    "threadmill worker": (THREADMILL, "worker"),
    "celery worker": (str(BIN / "celery"), "-A", "threadmill_worker", "worker"),
}

HEARD = "worker stopping"


@pytest.mark.settings(concurrency=100)
@pytest.mark.parametrize(
    ("command", "number"),
    [
        ("python -m threadmill_worker", signal.SIGTERM),
        ("threadmill worker", signal.SIGINT),
        ("celery worker", signal.SIGTERM),
        ("celery worker", signal.SIGINT),
        pytest.param("threadmill worker", signal.SIGTERM, marks=ON_RESPONSES),
        pytest.param("threadmill worker", signal.SIGTERM, marks=ON_CHAT),
    ],
)
def test_jobs_are_handed_back_at_once_and_continue_elsewhere(site, tell, command, number):
    is_chat = site.wire == "chat"  # where a worker that stops waits 3 s for replies: none must come meanwhile
    worker = site.start_worker(COMMANDS[command])
    jobs = site.enqueue(f"[[scenario=echo run_s={30 if is_chat else 8}]]Question {n}" for n in range(100))
    until(lambda: site.runs()["created"] == 100, "all jobs are in flight")
    asked = time.monotonic()
    worker.signal(number)

    assert worker.exit_code() == 0, worker.log()
    took_s = time.monotonic() - asked
    records = site.records(jobs)
    assert {(record.state, record.attempts, record.owner) for record in records} == {(JobState.QUEUED, 0, None)}
    assert took_s < 30
    tell(f"{command}: gone {took_s:.2f} s after {signal.Signals(number).name}, 100 jobs handed back")

    site.start_worker()
    ended = site.await_results(jobs, patience_s=90)
    assert {record.id: record.result.text for record in ended} == {
        job_id: prompt.partition("]]")[2] for job_id, prompt in jobs.items()
    }
    assert {record.attempts for record in ended} == {1}
    assert site.runs()["created"] == 100 * (1 + is_chat), (
        "the same runs continue; a call that was cut off is made again"
    )
    assert {record.result.lost_runs for record in ended} == {int(is_chat)}
    assert site.alive() == 0


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_twice_a_worker_ends_at_once(site, command, number):
    worker = site.start_worker(COMMANDS[command])
    job = site.client.enqueue("[[run_s=60]]Well?")
    until(lambda: site.held_by(worker) == [job.id], "the job runs")
    site.redis.signal(signal.SIGSTOP)  # so that nothing can be handed back, and the first signal takes long
    worker.signal(number)
    until(lambda: HEARD in worker.log(), "the first signal was heard")
    assert worker.lives
    asked = time.monotonic()
    worker.signal(number)

    assert worker.exit_code() == 128 + number
    assert time.monotonic() - asked < 30
