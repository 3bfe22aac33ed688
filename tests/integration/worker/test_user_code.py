"""A real worker process whose tools do what no tool should."""

import asyncio
import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest

from threadmill import JobState, PromptJob
from threadmill_cli.local.processes import Process

pytestmark = pytest.mark.integration


def exits() -> None:
    sys.exit("out of here")


async def exits_later() -> None:
    await asyncio.sleep(0)
    sys.exit("out of here")


def hangs() -> None:
    Path(os.environ["STARTED"]).touch()
    time.sleep(3600)


async def blocks() -> None:
    time.sleep(3600)  # noqa: ASYNC251


async def matches() -> None:
    """Holds the interpreter lock for good."""
    re.match("(a+)+$", "a" * 100 + "b")


def dies() -> None:
    os._exit(9)


TOOLS: dict[str, object] = {
    name: f"{__name__}:{name}" for name in ("exits", "exits_later", "hangs", "blocks", "matches")
}

TOOLS["dies"] = {"function": f"{__name__}:dies", "isolate": True}

with_tools = pytest.mark.settings(tools=TOOLS)


def exit_code(worker: Process) -> int:
    return worker._process.wait(60)


@with_tools
@pytest.mark.parametrize(
    ("tool", "says"),
    [
        ("exits", "SystemExit: out of here"),
        ("exits_later", "SystemExit: out of here"),
        ("dies", "its process ended with code 9 before it had an output"),
    ],
)
def test_a_worker_survives_a_tool_that_exits(settings, client, start_worker, emulator, tool, says):
    worker = start_worker(settings)
    result = client.enqueue(PromptJob(prompt="[[scenario=tools]]\nWell?", tools=[tool])).wait(timeout_s=60)

    assert result.state is JobState.SUCCEEDED
    [submitted] = emulator.sent("POST", "/submit_tool_outputs")
    [output] = submitted.json["tool_outputs"]
    assert output["output"] == f"The tool {tool} failed: {says}"
    assert client.enqueue("Well?").wait(timeout_s=60).state is JobState.SUCCEEDED, "it still works"
    os.kill(worker.pid, signal.SIGTERM)
    assert exit_code(worker) == 0, worker.log()


@with_tools
@pytest.mark.endpoint(tool_timeout_s=3600)
def test_a_worker_with_a_hanging_tool_ends_when_asked(settings, client, start_worker, tmp_path, until):
    started = tmp_path / "started"
    worker = start_worker(settings, STARTED=str(started))
    job = client.enqueue(PromptJob(prompt="[[scenario=tools]]\nWell?", tools=["hangs"], timeout_s=3600))
    until(started.exists)
    os.kill(worker.pid, signal.SIGTERM)

    assert exit_code(worker) == 0, worker.log()
    assert client.get(job.id).state is JobState.QUEUED, "it was handed back"


@pytest.mark.settings(tools=TOOLS, blocked_limit_s=3)
@pytest.mark.parametrize(
    ("tool", "says"), [("blocks", "the event loop has been blocked for 3 s"), ("matches", "in matches")]
)
def test_a_tool_that_blocks_the_event_loop_ends_its_worker(settings, client, start_worker, tool, says):
    worker = start_worker(settings)
    client.enqueue(PromptJob(prompt="[[scenario=tools]]\nWell?", tools=[tool]))

    assert exit_code(worker) == 1, worker.log()
    assert says in worker.log()
