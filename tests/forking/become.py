"""Turns a forked process that has imported the libraries into one that runs a command.

A command or a worker spends about a second of CPU on imports; a fork takes a few milliseconds. The Python processes
that such a process starts, or replaces itself by, are not started anew either.
"""

import atexit
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from threadmill.secrets.redaction import REDACTOR
from threadmill.settings import credentials

#: The commands `threadmill` and `celery`, as they are installed.
THREADMILL, CELERY = (str(Path(sys.executable).with_name(name)) for name in ("threadmill", "celery"))

_FORK_EXEC = subprocess._fork_exec
_EXECV = os.execv


def forkable(command: Sequence[str]) -> bool:
    """Whether a command runs `threadmill` or `celery`, or a module, a file or a string in this Python."""
    program, *arguments = command
    if program != sys.executable:
        return program in (THREADMILL, CELERY)
    return bool(arguments) and (arguments[0] in ("-m", "-c") or not arguments[0].startswith("-"))


def become(
    command: Sequence[str],
    cwd: str,
    environment: Mapping[str, str],
    streams: Sequence[int],
    passed: Collection[int] = (),
) -> NoReturn:
    """Does what exec and the start of Python would do, then runs the command. `passed`: files that stay open."""
    code = 1
    try:
        subprocess._fork_exec = _fork_exec
        os.execv = _execv
        _reset(cwd, environment, streams, passed)
        if not forkable(command):
            _EXECV(command[0], command)
        code = _run(list(command))
    except BaseException as error:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        if isinstance(error, KeyboardInterrupt):
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        sys.stderr.flush()
        os._exit(code)


def _fork_exec(args: Any, executables: Any, close_fds: Any, keep: Any, cwd: Any, env: Any, *more: Any) -> int:
    """Replaces the `fork_exec` that `subprocess` calls: forks without exec if the command is Python.

    More arguments: the ends of the three pipes (p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite) and of the one
    for errors (errpipe_read, errpipe_write), then restore_signals, start_new_session, process_group, gid, gids, uid,
    umask, preexec_fn.
    """
    command = [os.fsdecode(each) for each in args]
    if not forkable(command):
        return int(_FORK_EXEC(args, executables, close_fds, keep, cwd, env, *more))
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
        become(command, os.fsdecode(cwd) if cwd else os.getcwd(), environment, streams, passed)
    return pid


def _execv(path: str, args: Sequence[str]) -> NoReturn:
    """Replaces `os.execv`: goes on in this process if the command is Python."""
    if not forkable([path, *args[1:]]):
        _EXECV(path, args)
    atexit._clear()
    become([path, *args[1:]], os.getcwd(), dict(os.environ), range(3))


def _reset(cwd: str, environment: Mapping[str, str], streams: Sequence[int], passed: Collection[int]) -> None:
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
    arguments = command[1:] if command[0] == sys.executable else command
    folders = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    try:
        if arguments[0] == "-m":
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
