"""A token bucket: an amount that refills steadily up to a small store."""

SECONDS = 60


class Bucket:
    def __init__(self, per_minute: float, burst_s: float, now: float) -> None:
        self._filled = now
        self._use(per_minute, burst_s)
        self.level = self.capacity

    def _use(self, per_minute: float, burst_s: float) -> None:
        self.per_minute = per_minute
        self.per_second = per_minute / SECONDS
        self.capacity = max(1.0, self.per_second * burst_s)

    def change(self, per_minute: float, burst_s: float, now: float) -> None:
        """Changes the limit; what was used stays used."""
        self.fill(now)
        self._use(per_minute, burst_s)
        self.level = min(self.level, self.capacity)

    def fill(self, now: float) -> None:
        self.level = min(self.capacity, self.level + (now - self._filled) * self.per_second)
        self._filled = now

    def wait_s(self, amount: float) -> float:
        """Returns the seconds until `amount` may be taken; more than the capacity may be taken from a full bucket."""
        # The tolerance is for sums of floats: a client that waits as long as it was told is not refused again.
        missing = min(amount, self.capacity) - self.level - 1e-6
        return max(0.0, missing / self.per_second)

    def take(self, amount: float) -> None:
        """Takes the amount, which may leave a debt of at most one minute. A negative amount gives back."""
        self.level = max(-self.per_minute, min(self.capacity, self.level - amount))

    @property
    def remaining(self) -> int:
        """What remains of a minute's limit, as headers tell it: a server may refuse before, because of a burst."""
        return max(0, int(self.per_minute - self.capacity + self.level + 1e-6))

    @property
    def full_in_s(self) -> float:
        return (self.capacity - self.level) / self.per_second
