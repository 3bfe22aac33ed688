"""What a worker process does differently under a supervisor."""

import os
import signal
import threading

from threadmill import log


def follow_supervisor() -> None:
    """Stops this process as SIGTERM does once its supervisor has ended. Adds the process' `pid` to its log lines.

    The supervisor holds the other end of our standard input, and the kernel closes it however the supervisor ends.
    """
    log.add_to_each_line(pid=os.getpid())
    supervisor = os.dup(0)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)  # so that no tool, and no process of a tool, waits for input
    threading.Thread(target=_stop_with, args=(supervisor,), name="supervisor", daemon=True).start()


def _stop_with(supervisor: int) -> None:
    os.read(supervisor, 1)  # returns at its end, because the supervisor writes nothing
    os.kill(os.getpid(), signal.SIGTERM)
