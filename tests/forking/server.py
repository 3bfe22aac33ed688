"""Forks the processes of `tests.forking.client`: python -m tests.forking.server SOCKET

It runs in the Python whose programs it runs. The command returns when the server listens; the server goes on until
standard input ends.
"""

import marshal
import os
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import tests.preload  # noqa: F401
from tests.forking.become import become

from threadmill_cli.local.processes import _die_with_parent


class ForkServer:
    """Each program holds a connection: its end kills the process, and each byte on it is a signal to the process."""

    def __init__(self, path: str) -> None:
        self._programs: dict[int, socket.socket] = {}  # by the id of the process
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(path)
        self._listening.listen()

    def serve(self) -> None:
        ended, waking = socket.socketpair()
        for each in (ended, waking):
            each.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waking.fileno())
        self._selector = selectors.DefaultSelector()
        self._when_readable(sys.stdin, sys.exit)
        self._when_readable(self._listening, self._begin)
        self._when_readable(ended, lambda: ended.recv(4096) and self._reap())
        while True:
            for key, _ in self._selector.select():
                key.data()

    def _when_readable(self, file: Any, call: Callable[[], Any]) -> None:
        self._selector.register(file, selectors.EVENT_READ, call)

    def _begin(self) -> None:
        program, _ = self._listening.accept()
        length, streams, *_ = socket.recv_fds(program, 4, 3)
        request = program.recv(int.from_bytes(length), socket.MSG_WAITALL)
        if not request:  # it was killed
            program.close()
            return
        command, cwd, environment = marshal.loads(request)
        pid = os.fork()
        if pid == 0:
            _die_with_parent()
            os.setsid()
            become(command, cwd, environment, streams)
        for stream in streams:
            os.close(stream)
        self._programs[pid] = program
        self._when_readable(program, lambda: self._signal(pid))

    def _signal(self, pid: int) -> None:
        if pid not in self._programs:
            return
        numbers = b""
        with suppress(ConnectionError):
            numbers = self._programs[pid].recv(64)
        for number in numbers:
            os.kill(pid, number)
        if not numbers:
            os.kill(pid, signal.SIGKILL)
            self._forget(pid)

    def _reap(self) -> None:
        with suppress(ChildProcessError):  # there is none
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                if pid in self._programs:
                    with suppress(ConnectionError):
                        self._programs[pid].sendall(str(os.waitstatus_to_exitcode(status)).encode())
                    self._forget(pid)

    def _forget(self, pid: int) -> None:
        program = self._programs.pop(pid)
        self._selector.unregister(program)
        program.close()


if __name__ == "__main__":
    server = ForkServer(sys.argv[1])
    if os.fork() == 0:
        os.setsid()
        server.serve()
