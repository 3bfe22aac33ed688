"""A job that may be the cause of its workers' end runs in a process of its own, and is a job like any other there."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from threadmill import FailureKind, JobState
from threadmill_worker.attempt import own_process

pytestmark = pytest.mark.integration


@pytest.fixture
def suspect(worker, store):
    """Makes a job whose workers have ended twice while it ran."""

    def create(prompt: str, **fields) -> str:
        job_id = worker.create(prompt, **fields)
        store.hset(f"{worker.settings.key_prefix}:job:{job_id}", mapping={"own_process": 1, "interruptions": 2})
        return job_id

    return create


async def start(worker, emulator, until, job_id: str) -> asyncio.Task:
    """Runs the job until its process has started its run."""
    running = asyncio.create_task(worker.process.run(job_id, None))
    await asyncio.to_thread(until, lambda: emulator.stats()["runs"]["created"])
    return running


async def test_its_result_is_that_of_any_job(worker, suspect, emulator):
    job_id = suspect("[[scenario=echo run_s=0.2]]\nWell?")
    result = await worker.process.run(job_id)

    record = worker.record(job_id)
    assert (record.state, record.result.text, record.attempts) == (JobState.SUCCEEDED, "Well?", 1)
    assert result == record.result
    assert (record.interruptions, record.own_process) == (0, False), "a redriven job starts with no expired leases"
    assert emulator.threads() == 0


async def test_it_can_be_cancelled(worker, suspect, emulator, until):
    job_id = suspect("[[run_s=60]]\nWell?")
    running = await start(worker, emulator, until, job_id)
    worker.client.cancel(job_id)
    await running

    assert worker.record(job_id).state is JobState.CANCELLED
    assert emulator.stats()["runs"]["by_status"] == {"cancelled": 1}
    assert emulator.threads() == 0


async def test_it_is_handed_back_when_its_worker_is_stopped(worker, worker_of, suspect, emulator, until):
    job_id = suspect("[[run_s=60]]\nWell?")
    running = await start(worker, emulator, until, job_id)
    worker.take_messages()
    await worker.process.close()

    assert await running is None
    record = worker.record(job_id)
    assert (record.state, record.attempts, record.own_process) == (JobState.QUEUED, 0, True)
    await worker_of(worker.settings).process._heartbeat()  # another worker offers slots
    assert worker.take_messages() == [job_id]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["asked to end", "killed"])
async def test_its_process_may_end(worker, suspect, emulator, until, number):
    """A signal to all processes of a service reaches it too."""
    job_id = suspect("[[run_s=3]]\nWell?")
    running = await start(worker, emulator, until, job_id)
    os.kill(_child(), number)
    await running

    record = worker.record(job_id)
    if number == signal.SIGTERM:
        assert (record.state, record.interruptions) == (JobState.QUEUED, 0), "it has handed the job back"
    else:
        assert record.state is JobState.SUCCEEDED, "another process continued it, since it had made progress"
    assert emulator.stats()["runs"]["created"] == 1


async def test_one_that_keeps_ending_its_process_fails(worker, suspect, emulator, monkeypatch):
    monkeypatch.setattr(own_process, "_COMMAND", ("sh", "-c", "kill -9 $$"))
    job_id = suspect("Well?")
    await worker.process.run(job_id, None)

    result = worker.record(job_id).result
    assert (result.state, result.failure.kind) == (JobState.FAILED, FailureKind.ATTEMPTS_EXHAUSTED)
    assert "3 processes in a row ended" in result.failure.message


def _child() -> int:
    """The process that runs the job, the only one with that module."""
    children = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    pids = [int(pid) for path in children for pid in path.read_text().split()]
    [found] = [
        pid for pid in pids if b"threadmill_worker.attempt.single_job" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    return found
