"""Programs that are forked do what those do that start anew."""

import os
import pty
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from tests.forking.programs import join_server, write_programs

pytestmark = pytest.mark.integration

PROGRAMS = Path(sys.executable).parent

#: It says when it is ready, and waits for a signal; SIGTERM is an ordinary end.
WAITS = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print(os.getpid(), flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forked") / "programs"
    write_programs(folder, PROGRAMS)
    joined = join_server(folder, PROGRAMS)
    yield folder
    os.close(joined)


def path_of(folder):
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


@pytest.mark.parametrize(
    "command",
    [
        "threadmill jobs show --help",
        "threadmill status",
        "celery --version",
        "echo Grüße | python -c 'import sys; print(sys.stdin.read(), sys.argv)' one 'two three' | tr a-z A-Z",
        "python -c 'import sys; print(sys.stdin.isatty(), sys.stdout.isatty())'",
        "python -c 'import sys; sys.exit(\"as told\")'",
        "python -I -c 'import sys; print(sys.flags.isolated)'",
        'python -c \'import os; os.execv("/bin/sh", ["sh", "-c", "pwd; exit 5"])\'',
        'X=7 python -c \'import os, sys; os.execv(sys.executable, ["me", "said.py", "one"])\'',
        "cd / && python -c 'import os, signal; os.kill(os.getpid(), signal.SIGKILL)'",
    ],
)
def test_a_program_says_and_returns_the_same(folder, tmp_path, command):
    (tmp_path / "said.py").write_text("import os, sys\nprint(__name__, sys.argv, os.environ['X'], os.getcwd())")
    terminal, keyboard = pty.openpty()
    answers = []
    for path in (folder, PROGRAMS):
        environment = {"PATH": f"{path}:{os.environ['PATH']}", "COLUMNS": "60"}
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=environment,
            stdin=keyboard,
            capture_output=True,
            timeout=60,
            check=False,
        )
        answers.append((done.returncode, done.stdout, done.stderr))
    os.close(terminal)
    os.close(keyboard)

    assert answers[0] == answers[1]


def runs(pid):
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 7), (signal.SIGINT, -2), (signal.SIGKILL, -9)])
def test_a_signal_reaches_the_process(folder, until, number, code):
    program = subprocess.Popen([folder / "python", "-c", WAITS], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with program:
        pid = int(program.stdout.readline())
        assert pid != program.pid
        program.send_signal(number)

        assert program.wait(60) == code
        until(lambda: not runs(pid))


def test_the_server_ends_with_its_last_user(tmp_path, until):
    folder = tmp_path / "programs"
    write_programs(folder, PROGRAMS)
    first, second = (join_server(folder, PROGRAMS) for _ in range(2))
    command = [folder / "python", "-c", "import os; print(os.getppid())"]
    [server] = {int(subprocess.run(command, capture_output=True, check=True, text=True).stdout) for _ in range(2)}
    os.close(first)
    subprocess.run(command, capture_output=True, check=True)

    os.close(second)

    until(lambda: not runs(server))
