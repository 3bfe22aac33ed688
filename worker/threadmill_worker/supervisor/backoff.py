"""How long to wait before a process that ended by itself is started again."""

#: The wait after the first end, and the longest one, in seconds.
FIRST_S = 1.0
LONGEST_S = 30.0

#: A process that ran for so many seconds was no failed start: the next wait is FIRST_S again.
STABLE_S = 60.0


class Backoff:
    """The waits of one process: 1 s, doubled at each end up to 30 s."""

    def __init__(self) -> None:
        self._next_s = FIRST_S

    def after(self, lived_s: float) -> float:
        """Returns the wait in seconds, after a process has ended that ran for `lived_s` seconds."""
        if lived_s >= STABLE_S:
            self._next_s = FIRST_S
        wait_s, self._next_s = self._next_s, min(2 * self._next_s, LONGEST_S)
        return wait_s
