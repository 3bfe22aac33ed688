"""Python processes for tests, forked from one that has imported the libraries.

In all but its start a forked process is like one that `subprocess` starts: it has its own environment, folder, standard
streams, signal handlers and exit code. Use `subprocess` in a test that is about a terminal or about how Python starts.
"""

import multiprocessing
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

from tests.forking.become import become, forkable

from threadmill_cli.local.processes import Process, _die_with_parent

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.preload"])


class Forked:
    """A forked process, with those methods of `subprocess.Popen` that tests need."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdin: Path,
        stdout: Path,
        stderr: Path,
        start_new_session: bool = False,
    ) -> None:
        paths = [str(path) for path in (stdin, stdout, stderr)]
        self._command = list(command)
        self._process = _CONTEXT.Process(
            target=_begin, args=(self._command, str(cwd), dict(env), paths, start_new_session)
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(self._command, timeout)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], input: str, timeout: float
) -> "subprocess.CompletedProcess[str]":
    """As `subprocess.run` with `capture_output` and `text`."""
    with TemporaryDirectory() as folder:
        streams = {name: Path(folder, name) for name in ("stdin", "stdout", "stderr")}
        streams["stdin"].write_text(input, "utf-8")
        process = Forked(command, cwd=cwd, env=env, **streams)
        try:
            code = process.wait(timeout)
        except BaseException:
            process.kill()
            process.wait()
            raise
        said = [streams[name].read_text("utf-8") for name in ("stdout", "stderr")]
    return subprocess.CompletedProcess(list(command), code, *said)


class ForkedProcess(Process):
    """A `Process` that is forked if its command runs Python."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str], stdin: str = ""
    ) -> None:
        if not forkable(command):
            super().__init__(name, command, log, environment, stdin)
            return
        assert not stdin
        self.name = name
        self._log = log
        log.touch()
        self._process: Any = Forked(
            command,
            cwd=Path.cwd(),
            env=os.environ | environment,
            stdin=Path(os.devnull),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _begin(
    command: list[str], cwd: str, environment: dict[str, str], paths: list[str], start_new_session: bool
) -> NoReturn:
    """Runs in a child of the fork server, which becomes the process that runs the command."""
    writing = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    streams = [os.open(path, mode, 0o600) for path, mode in zip(paths, (os.O_RDONLY, writing, writing), strict=True)]
    _die_with_parent()  # the fork server, which ends with the tests
    if start_new_session:
        os.setsid()
    become(command, cwd, environment, streams)
