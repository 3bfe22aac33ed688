"""Starts worker processes, starts them again when they end, and passes the signal to stop on to them."""

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

import structlog

from threadmill_worker.supervisor.backoff import Backoff

log = structlog.get_logger(__name__)

#: The exit code of a worker that only other settings or rights help: it is not started again.
WRONG_SETTINGS = 2

#: As those of a worker without a supervisor.
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


class _Member:
    """One of the processes, through all its restarts. `number` counts from 1."""

    def __init__(
        self, number: int, command: Sequence[str], inherited: Sequence[int], ended: Callable[["_Member"], None]
    ) -> None:
        self.number = number
        self.process: subprocess.Popen[bytes] | None = None  #: None while it waits to be started again
        self.start_at = 0.0  #: by the monotonic clock, if `process` is None
        self._inherited = inherited
        self._command = [*command, *(f"--monitoring-fd={fd}" for fd in inherited)]
        self._ended = ended
        self._backoff = Backoff()
        self._started_at = 0.0

    def start(self) -> None:
        """Starts the process, or plans the next try if the system has no room for it."""
        self._started_at = time.monotonic()
        try:
            # Ctrl-C in a terminal goes to a whole session; only the supervisor passes it on. No process inherits the
            # pipe of another one, so each sees the end of the supervisor.
            self.process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, start_new_session=True, pass_fds=self._inherited
            )
        except OSError as error:
            log.error("worker process not started", process=self.number, reason=str(error), again_in_s=self._postpone())
        else:
            threading.Thread(target=self._wait, args=(self.process,), daemon=True).start()

    def plan_restart(self) -> None:
        """Plans the next start of a process that ended by itself."""
        assert self.process is not None
        pid, code = self.process.pid, self.process.returncode
        self.close()
        log.warning("worker process ended", process=self.number, pid=pid, **_end(code), again_in_s=self._postpone())

    def close(self) -> None:
        """Forgets a process that has ended, or was killed."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process = None

    def _postpone(self) -> float:
        now = time.monotonic()
        wait_s = self._backoff.after(now - self._started_at)
        self.start_at = now + wait_s
        return wait_s

    def _wait(self, process: "subprocess.Popen[bytes]") -> None:
        process.wait()
        self._ended(self)


class Supervisor:
    """Runs one process for each command until a signal stops them. Use it once, in the main thread.

    `sockets`: the file descriptors that the processes inherit, one each, for their pages; empty: they have none.
    """

    def __init__(self, commands: Sequence[Sequence[str]], sockets: Sequence[int] = ()) -> None:
        self._events: SimpleQueue[int | _Member] = SimpleQueue()  # signal handlers may put into it
        inherited: list[list[int]] = [[each] for each in sockets] or [[] for _ in commands]
        self._members = [
            _Member(number, command, passed, self._events.put)
            for number, (command, passed) in enumerate(zip(commands, inherited, strict=True), 1)
        ]
        self._exit_code: int | None = None  #: None until the processes have been asked to stop

    def run(self) -> int:
        """Returns the exit code: 0 after a signal, 128 + its number after a second one, 2 if the settings are wrong."""
        for number in _STOP_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has SIGHUP
                signal.signal(number, lambda asked, _: self._events.put(asked))
        for member in self._members:
            member.start()
        while self._exit_code is None or self._running():
            match self._next_event():
                case None:
                    self._start_due()
                case _Member() as member:
                    self._note_end(member)
                case asked if self._exit_code is None:
                    self._stop(0, signal.Signals(asked).name)
                case asked:
                    return self._end_at_once(128 + asked)
        log.info("supervisor stopped", exit_code=self._exit_code)
        return self._exit_code

    def _running(self) -> "list[subprocess.Popen[bytes]]":
        return [member.process for member in self._members if member.process is not None]

    def _next_event(self) -> "int | _Member | None":
        """Returns a signal, or a member whose process has ended; None once a start is due."""
        planned = [member.start_at for member in self._members if member.process is None]
        wait_s = max(0.0, min(planned) - time.monotonic()) if planned and self._exit_code is None else None
        try:
            return self._events.get(timeout=wait_s)
        except Empty:
            return None

    def _start_due(self) -> None:
        for member in self._members:
            if member.process is None and member.start_at <= time.monotonic():
                member.start()

    def _note_end(self, member: _Member) -> None:
        assert member.process is not None
        code = member.process.returncode
        if self._exit_code is None and code != WRONG_SETTINGS:
            member.plan_restart()
            return
        member.close()
        if self._exit_code is None:  # the process has told the reason
            self._stop(WRONG_SETTINGS, f"process {member.number} cannot run with these settings")

    def _stop(self, exit_code: int, reason: str) -> None:
        """Asks all processes to hand their jobs back and end."""
        self._exit_code = exit_code
        running = self._running()
        log.info("supervisor stopping", reason=reason, processes=len(running))
        for process in running:
            process.terminate()  # also for Ctrl-C, which in a process that still starts would raise KeyboardInterrupt

    def _end_at_once(self, exit_code: int) -> int:
        """Kills the processes, whose jobs other workers rescue when the leases expire."""
        for member in self._members:
            if member.process is not None:
                member.process.kill()
                member.close()
        return exit_code


def _end(code: int) -> dict[str, int | str]:
    """Returns how a process ended, as a field of a log line."""
    if code >= 0:
        return {"exit_code": code}
    try:
        return {"signal": signal.Signals(-code).name}
    except ValueError:  # a real-time signal
        return {"signal": str(-code)}
