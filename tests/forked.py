"""Python processes for tests, forked from one that has imported the libraries.

A command or a worker spends about a second of CPU on imports; a fork takes a few milliseconds. In all else a forked
process is like one that `subprocess` starts: it has its own environment, folder, standard streams, signal handlers and
exit code. The Python processes that it starts are forked from it. Use `subprocess` in a test that is about a terminal
or about how Python starts.
"""

import atexit
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

from threadmill.secrets.redaction import REDACTOR
from threadmill.settings import credentials
from threadmill_cli.local.processes import Process, _die_with_parent

#: The command `threadmill`, as it is installed.
THREADMILL = str(Path(sys.executable).with_name("threadmill"))

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.preload"])

_EXEC = subprocess._fork_exec


def forkable(command: Sequence[str]) -> bool:
    """Whether a command runs `threadmill`, or a module, a file or a string in this Python."""
    program, *arguments = command
    if program != sys.executable:
        return program == THREADMILL
    return bool(arguments) and (arguments[0] in ("-m", "-c") or not arguments[0].startswith("-"))


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
    subprocess._fork_exec = _fork_exec
    _become(command, cwd, environment, streams)


def _fork_exec(args: Any, executables: Any, close_fds: Any, keep: Any, cwd: Any, env: Any, *more: Any) -> int:
    """Replaces the `fork_exec` that `subprocess` calls: forks without exec if the command is Python.

    More arguments: the ends of the three pipes (p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite) and of the one
    for errors (errpipe_read, errpipe_write), then restore_signals, start_new_session, process_group, gid, gids, uid,
    umask, preexec_fn.
    """
    command = [os.fsdecode(each) for each in args]
    if not forkable(command):
        return int(_EXEC(args, executables, close_fds, keep, cwd, env, *more))
    pid = os.fork()
    if pid == 0:
        stdin, stdout, stderr, start_new_session, preexec_fn = (more[index] for index in (0, 3, 5, 9, 15))
        if start_new_session:
            os.setsid()
        if preexec_fn is not None:
            preexec_fn()
        environment = dict(os.environ)
        if env is not None:
            environment = dict(os.fsdecode(each).split("=", 1) for each in env)
        streams = [number if given == -1 else given for number, given in enumerate((stdin, stdout, stderr))]
        passed = set(keep) - {more[7]}  # without the pipe for errors, which exec would close
        _become(command, os.fsdecode(cwd) if cwd else os.getcwd(), environment, streams, passed)
    return pid


def _become(
    command: list[str], cwd: str, environment: dict[str, str], streams: Sequence[int], passed: Collection[int] = ()
) -> NoReturn:
    """Does what exec and the start of Python would do, then runs the command. `passed`: files that stay open."""
    code = 1
    try:
        _reset(cwd, environment, streams, passed)
        code = _run(command)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)


def _reset(cwd: str, environment: dict[str, str], streams: Sequence[int], passed: Collection[int]) -> None:
    REDACTOR.__init__()  # a new process knows no secrets
    credentials._warn_of_whitespace.cache_clear()
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    for number, stream in enumerate([os.dup(stream) for stream in streams]):
        os.dup2(stream, number)
    first = 3
    for number in sorted(passed):
        os.closerange(first, number)
        first = number + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", 1, "utf-8", "backslashreplace", closefd=False)  # noqa: SIM115


def _run(command: list[str]) -> int:
    program, *arguments = command
    folders = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    try:
        if program == THREADMILL:
            _search(Path(program).parent, folders)
            sys.argv = command
            from threadmill_cli import main

            main()
        elif arguments[0] == "-m":
            _search(Path.cwd(), folders)
            sys.argv = ["-m", *arguments[2:]]
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        elif arguments[0] == "-c":
            _search(Path.cwd(), folders)
            sys.argv = ["-c", *arguments[2:]]
            exec(compile(arguments[1], "<string>", "exec"), {"__name__": "__main__"})
        else:
            _search(Path(arguments[0]).absolute().parent, folders)
            sys.argv = arguments
            runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as ended:
        code = ended.code
    else:
        code = None
    finally:
        threading._shutdown()
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    if isinstance(code, str):
        sys.stderr.write(code + "\n")
    return 0 if code is None else code if isinstance(code, int) else 1


def _search(first: Path, folders: Sequence[str]) -> None:
    """Sets where modules are looked for: `first`, then the folders of PYTHONPATH."""
    sys.path[:1] = [str(first), *filter(None, folders)]
