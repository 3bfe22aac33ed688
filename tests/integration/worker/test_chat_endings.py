"""How calls of Chat Completions end if nobody waits for them any longer: the client hangs up, and the server stops."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from tests.emulated import CHAT, Emulated

from threadmill import FailureKind, JobState
from threadmill_worker.lifecycle.progress import Progress

TOOLS = {name: f"{__name__}:{name}" for name in ("noted", "lasting")}

pytestmark = [
    pytest.mark.integration,
    pytest.mark.endpoint(**CHAT),
    pytest.mark.settings(tools=TOOLS, lease_s=1.5, sweep_interval_s=0.3),
]


def noted() -> str:
    """A tool of a worker process: it notes in a file that it was called."""
    return _note("noted")


async def lasting() -> str:
    """The same; the first call lasts until its worker dies."""
    said = _note("lasting")
    await asyncio.sleep(60 if _notes(Path(os.environ["NOTES"])).count("lasting") == 1 else 0)
    return said


def _note(name: str) -> str:
    with Path(os.environ["NOTES"]).open("a") as notes:
        notes.write(f"{name}\n")
    return name


def _notes(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []


def asked(emulator: Emulated) -> int:
    """How many calls reached the server."""
    return len(emulator.sent("POST", "/chat/completions"))


@pytest.mark.endpoint(**CHAT, request_timeout_s=0.2)
async def test_a_call_may_last_longer_than_other_requests(worker, emulator):
    result = await worker.run("[[run_s=1]]Why?")
    assert (result.state, asked(emulator), result.lost_runs) == (JobState.SUCCEEDED, 1, 0)


@pytest.mark.endpoint(**CHAT, run_limit_s=0.5, max_reruns=1)
async def test_a_call_that_lasts_too_long_is_given_up_and_counted(worker, emulator, until):
    result = await worker.run("[[scenario=stuck]]Why?", timeout_s=3)

    assert not result.ok
    await asyncio.to_thread(until, lambda: emulator.stats()["completions"]["active"] == 0)
    assert emulator.stats()["completions"]["by_status"].keys() == {"hung_up"}
    assert result.lost_runs >= 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_deadline_hangs_up(stream, worker, emulator, until):
    result = await worker.run("[[run_s=60]]Why?", timeout_s=0.8, stream=stream)

    assert (result.state, result.failure.kind) == (JobState.FAILED, FailureKind.OVERDUE)
    await asyncio.to_thread(until, lambda: emulator.stats()["completions"]["by_status"] == {"hung_up": 1})


@pytest.mark.settings(lease_s=0.6)  # and so a heartbeat each 0.2 s
@pytest.mark.parametrize("stream", [False, True])
async def test_a_cancel_hangs_up(stream, worker, emulator, until):
    job_id = worker.create("[[run_s=60]]Well?", stream=stream)
    running = asyncio.create_task(worker.see_through(job_id))
    await asyncio.to_thread(until, lambda: emulator.stats()["completions"]["active"])
    assert await asyncio.to_thread(worker.client.cancel, job_id) is JobState.RUNNING
    result = await running

    assert (result.state, result.failure.kind) == (JobState.CANCELLED, FailureKind.CANCELLED)
    await asyncio.to_thread(until, lambda: emulator.stats()["completions"]["by_status"] == {"hung_up": 1})


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_that_dies_during_a_call_is_replaced(number, client, settings, emulator, start_worker, until):
    first = start_worker(settings)
    job = client.enqueue({"prompt": "[[scenario=echo run_s=2]]Well?", "timeout_s": 60})
    until(lambda: emulator.stats()["completions"]["active"])
    os.kill(first.pid, number)
    start_worker(settings)
    result = job.wait(timeout_s=60)
    if number == signal.SIGSTOP:
        os.kill(first.pid, signal.SIGCONT)

    assert (result.state, result.text, result.attempts) == (JobState.SUCCEEDED, "Well?", 2)
    assert (asked(emulator), result.lost_runs) == (2, 1)


def test_a_tool_that_has_ended_is_not_called_again_by_the_next_worker(
    client, settings, emulator, start_worker, until, tmp_path
):
    notes = tmp_path / "notes"
    first = start_worker(settings, NOTES=str(notes))
    tools = ["noted", "lasting"]
    job = client.enqueue({"prompt": "[[scenario=tools calls=2]]Well?", "tools": tools, "timeout_s": 60})
    until(lambda: sorted(_notes(notes)) == ["lasting", "noted"] and Progress.of(job.get()).run.outputs)
    os.kill(first.pid, signal.SIGKILL)
    start_worker(settings, NOTES=str(notes))
    result = job.wait(timeout_s=60)

    assert (result.state, result.attempts) == (JobState.SUCCEEDED, 2)
    assert (sorted(_notes(notes)), asked(emulator)) == (["lasting", "lasting", "noted"], 2)
    assert (result.runs, result.lost_runs) == (1, 0), "the reply with the calls was saved"
