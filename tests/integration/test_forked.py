"""The processes that tests fork do what those of `subprocess` do."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.forking.become import THREADMILL
from tests.forking.forked import Forked, run

pytestmark = pytest.mark.integration

#: It starts a child, which says the rest.
PARENT = """
import os, subprocess, sys
command = [sys.executable, "child.py", *sys.argv]
child = subprocess.run(command, input=sys.stdin.read(), text=True, env=os.environ | {"FROM": "parent"})
print("the child ended with", child.returncode, file=sys.stderr)
sys.exit("as told")
"""
CHILD = """
import atexit, os, sys, threading
import beside
atexit.register(print, "the end")
threading.Thread(target=lambda: [threading.main_thread().join(), print("a thread")]).start()
print(__name__, sys.argv, sys.stdin.read(), os.environ["FROM"], os.getcwd(), beside.NAME)
sys.exit(7)
"""


@pytest.mark.parametrize(
    "command",
    [
        (sys.executable, "parent.py", "one", "two"),
        (sys.executable, "-m", "parent", "one", "two"),
        (sys.executable, "-c", "import sys; print(sys.stdin.read())"),
        (THREADMILL, "--help"),
        (THREADMILL, "status"),
        (THREADMILL, "submit", "-"),
    ],
)
def test_a_forked_process_says_and_returns_the_same(tmp_path, command):
    (tmp_path / "parent.py").write_text(PARENT)
    (tmp_path / "child.py").write_text(CHILD)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "beside.py").write_text('NAME = "beside"')
    environment = {**os.environ, "PYTHONPATH": "more", "COLUMNS": "60"}
    options = {"cwd": tmp_path, "env": environment, "input": "Grüße\n", "timeout": 60}

    forked = run(command, **options)
    spawned = subprocess.run(command, capture_output=True, text=True, check=False, **options)

    assert (forked.returncode, forked.stdout, forked.stderr) == (spawned.returncode, spawned.stdout, spawned.stderr)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_it(tmp_path, until, number):
    streams = {"stdin": Path(os.devnull), "stdout": tmp_path / "out", "stderr": tmp_path / "err"}
    (tmp_path / "wait.py").write_text("import time\nprint('ready', flush=True)\ntime.sleep(600)")
    process = Forked([sys.executable, "wait.py"], cwd=tmp_path, env=os.environ, **streams)
    until(lambda: (tmp_path / "out").exists() and (tmp_path / "out").read_text() == "ready\n")
    assert process.poll() is None
    process.send_signal(number)

    assert process.wait(60) == -number
