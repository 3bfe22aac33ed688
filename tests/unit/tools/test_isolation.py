"""Function tools in child processes."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from threadmill.errors import SettingsError
from threadmill.settings.tools import FunctionSettings
from threadmill_worker.tools import registry
from threadmill_worker.tools.tool import ToolFailed

TOOLS = """
import os, signal, subprocess, sys, time

def stock(name: str, pieces: int = 7) -> dict:
    \"\"\"How many of an article there are.\"\"\"
    print("this must not be read as the reply")
    return {name: pieces}

async def later(name: str) -> str:
    return f"later, {name} \\ud83d"

def variables() -> list:
    return sorted(os.environ)

def exits() -> None:
    sys.exit(3)

def crashes() -> None:
    os._exit(3)

def is_killed() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)

def greedy() -> int:
    return len(bytearray(4 * 1024**3))

def wordy() -> str:
    return "x" * 20_000_000

def forges() -> None:
    for number in range(3, 20):
        try:
            os.write(number, b"[1]\\n")
        except OSError:
            pass
    os._exit(0)

def hangs(pids: str) -> None:
    child = subprocess.Popen(["sleep", "3600"])
    with open(pids + ".new", "w") as file:
        file.write(f"{os.getpid()} {child.pid}")
    os.rename(pids + ".new", pids)
    while True:
        time.sleep(3600)
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    (tmp_path / "untrusted_tools.py").write_text(TOOLS)
    monkeypatch.syspath_prepend(tmp_path)
    return lambda name, **more: registry.make(
        name, FunctionSettings(function=f"untrusted_tools:{name}", isolate=True, **more), None
    )


async def test_it_is_described_and_called_without_being_imported(load):
    tool = load("stock")

    assert tool.description == "How many of an article there are."
    assert tool.parameters["required"] == ["name"]
    assert json.loads(await tool.call({"name": "bolts"})) == {"bolts": 7}
    assert "untrusted_tools" not in sys.modules


async def test_an_async_function_is_awaited(load):
    assert await load("later").call({"name": "x"}) == "later, x \ud83d"


async def test_it_gets_no_keys(load, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    assert "OPENAI_API_KEY" not in await load("variables").call({})


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("stock", {}, "the arguments do not fit: `name`: Missing required argument"),
        ("exits", {}, "SystemExit: 3"),
        ("crashes", {}, "its process ended with code 3 before it had an output"),
        ("is_killed", {}, "its process was killed by SIGSEGV"),
        ("greedy", {}, "MemoryError"),
        ("wordy", {}, "its output is longer than 10,000,000 bytes"),
        ("forges", {}, "its process wrote no valid reply"),
    ],
)
async def test_every_error_is_reported_to_the_model(load, name, arguments, says):
    with pytest.raises(ToolFailed) as failed:
        await load(name).call(arguments)
    assert says in str(failed.value)


async def test_after_its_time_it_is_killed_with_its_child_processes(load, tmp_path, until):
    pids = tmp_path / "pids"
    calling = asyncio.create_task(load("hangs").call({"pids": str(pids)}))
    await asyncio.to_thread(until, pids.exists)
    calling.cancel()
    await asyncio.wait({calling})

    for pid in map(int, pids.read_text().split()):
        await asyncio.to_thread(until, lambda pid=pid: not _lives(pid))


def test_it_ends_with_the_worker(load, tmp_path, until):
    pids = tmp_path / "pids"
    script = (
        "import asyncio\n"
        "from threadmill_worker.tools import registry as toolset\n"
        "from threadmill.settings.tools import FunctionSettings\n"
        "tool = toolset.make('hangs', FunctionSettings(function='untrusted_tools:hangs', isolate=True), None)\n"
        f"asyncio.run(tool.call({{'pids': {str(pids)!r}}}))"
    )
    worker = subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(tmp_path)})
    until(pids.exists)
    called, started = map(int, pids.read_text().split())
    worker.kill()
    worker.wait()

    until(lambda: not _lives(called))
    os.kill(started, signal.SIGKILL)


def test_a_function_that_cannot_be_loaded_is_named(load):
    with pytest.raises(SettingsError, match="tool 'missing': cannot load untrusted_tools:missing"):
        load("missing")


def test_a_memory_limit_needs_isolation():
    with pytest.raises(ValueError, match="set isolate = true"):
        FunctionSettings(function="m:f", memory_limit_mb=64)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
