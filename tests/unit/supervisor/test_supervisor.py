"""The supervisor with processes that are no workers."""

import signal
import subprocess
import sys

import pytest
from structlog.testing import capture_logs

from threadmill_worker import __main__ as program
from threadmill_worker.supervisor import backoff
from threadmill_worker.supervisor.supervisor import Supervisor

#: Ends as its argument says; when it is started again, it waits for a signal.
ENDS_ONCE = """
import os, pathlib, signal, sys, time
seen = pathlib.Path(sys.argv[1])
if seen.exists():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    os.kill(os.getppid(), signal.SIGTERM)
    time.sleep(60)
seen.touch()
exec(sys.argv[2])
"""

WAITS = "import time; time.sleep(60)"


def python(code, *arguments):
    return [sys.executable, "-c", code, *map(str, arguments)]


@pytest.fixture(autouse=True)
def handlers(monkeypatch):
    """Restores the signal handlers after a test."""
    monkeypatch.setattr(backoff, "FIRST_S", 0.05)
    kept = {
        number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
    }
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ("sys.exit(7)", {"exit_code": 7}),
        ("sys.exit(0)", {"exit_code": 0}),
        ("os.kill(os.getpid(), 9)", {"signal": "SIGKILL"}),
    ],
)
def test_a_process_that_ends_by_itself_is_started_again(tmp_path, end, told):
    with capture_logs() as lines:
        code = Supervisor([python(ENDS_ONCE, tmp_path / "seen", end)]).run()

    assert code == 0
    [ended] = [line for line in lines if line["event"] == "worker process ended"]
    assert {name: ended.get(name) for name in told} == told
    assert (ended["process"], ended["again_in_s"]) == (1, 0.05)
    assert [line["reason"] for line in lines if line["event"] == "supervisor stopping"] == ["SIGTERM"]


def test_exit_code_2_of_one_process_ends_all(tmp_path):
    with capture_logs() as lines:
        assert Supervisor([python(WAITS), python("raise SystemExit(2)")]).run() == 2
    assert [line["event"] for line in lines] == ["supervisor stopping", "supervisor stopped"]


def test_a_process_that_cannot_be_started_is_tried_again(tmp_path, monkeypatch):
    real, tried = subprocess.Popen, []

    def popen(*arguments, **options):
        tried.append(arguments)
        if len(tried) == 1:
            raise OSError("no more processes")
        return real(*arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", popen)
    with capture_logs() as lines:
        assert Supervisor([python("raise SystemExit(2)")]).run() == 2
    assert lines[0]["event"] == "worker process not started"
    assert lines[0]["reason"] == "no more processes"


def test_a_second_signal_ends_all_at_once():
    stubborn = "import os, signal, time; signal.signal(15, lambda *_: os.kill(os.getppid(), 2)); {}; time.sleep(60)"
    first = python(stubborn.format("os.kill(os.getppid(), 15)"))
    assert Supervisor([first, python(WAITS)]).run() == 128 + signal.SIGINT


@pytest.mark.parametrize(
    ("name", "names"), [("w", ["w-1", "w-2"]), ("w@%h", ["w-1@%h", "w-2@%h"]), (None, [None, None])]
)
def test_each_process_has_its_own_node_name(monkeypatch, name, names):
    commands = []

    class Noted:
        def __init__(self, given, sockets):
            assert sockets == []
            commands.extend(given)

        def run(self):
            return 0

    monkeypatch.setattr(program, "Supervisor", Noted)
    monkeypatch.setattr(program.log, "configure", lambda level: None)
    monkeypatch.setattr(sys, "argv", ["worker", "--processes", "2", *(["-n", name] if name else [])])
    with capture_logs() as lines:
        assert program.main() == 0
    assert [command[command.index("--name") + 1] if "--name" in command else None for command in commands] == names
    assert [(line["processes"], line["concurrency"], line["slots"]) for line in lines] == [(2, 100, 200)]


@pytest.mark.parametrize("wrong", ["0", "-1", "many", "1.5", ""])
def test_a_wrong_number_of_processes_is_refused_in_one_sentence(monkeypatch, capsys, wrong):
    monkeypatch.setattr(sys, "argv", ["worker", f"--processes={wrong}"])
    with pytest.raises(SystemExit) as ended:
        program.main()
    assert ended.value.code == 2
    assert f'--processes must be a number of at least 1, or "auto", not {wrong!r}' in capsys.readouterr().err
