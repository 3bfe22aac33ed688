"""A child process with its log in a file, which ends when its parent ends."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from threadmill.errors import ThreadmillError

_START_S = 30.0
_STOP_S = 10.0
_TAIL = 1500  # characters of the log that an error shows
_PR_SET_PDEATHSIG = 1  # prctl(2)


class ProcessEnded(ThreadmillError):
    """A process ended by itself or did not become ready; the text shows the end of its log."""


class Process:
    """A running process. `environment` is added to ours; `stdin` is written and closed. Raises ThreadmillError."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str], stdin: str = ""
    ) -> None:
        self.name = name
        self._log = log
        with log.open("wb") as output:
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **environment},
                    start_new_session=True,  # only this process gets Ctrl-C; it stops the others in order
                    preexec_fn=_die_with_parent if sys.platform == "linux" else None,
                    text=True,
                )
            except OSError as error:
                raise ThreadmillError(f"cannot start the {name}: {error}") from None
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(stdin)
            self._process.stdin.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def log(self) -> str:
        return self._log.read_text("utf-8", errors="replace")

    def check(self) -> None:
        """Raises ProcessEnded if the process has ended."""
        if self._process.poll() is not None:
            raise ProcessEnded(
                f"the {self.name} stopped unexpectedly (exit {self._process.returncode}): "
                f"{self.log()[-_TAIL:].strip() or 'it printed nothing'}"
            )

    def wait_until(self, ready: Callable[[], bool], within_s: float = _START_S) -> None:
        """Waits until `ready()` is true. Raises ProcessEnded if the process ends, or is not ready within `within_s`."""
        give_up_at = time.monotonic() + within_s
        while not ready():
            self.check()
            if time.monotonic() > give_up_at:
                raise ProcessEnded(f"the {self.name} was not ready after {within_s:.0f} s: {self.log()[-_TAIL:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Sends SIGTERM, and later SIGKILL if the process has not ended."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Sends SIGKILL, as if the machine had died."""
        self._process.kill()
        self._process.wait()


def _die_with_parent() -> None:
    """Runs in the child: asks the kernel to send it SIGTERM when the parent dies."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
