"""What a key has used of the limits with a model."""

from dataclasses import dataclass, field
from typing import Any

from threadmill_emulator.limits.bucket import Bucket
from threadmill_emulator.scripting.limits import Limits


@dataclass
class Account:
    key: int  #: keys are numbered in order of arrival, because they are secrets
    model: str  #: empty if the limits hold for all models
    requests: Bucket | None = None
    tokens: Bucket | None = None
    refused: int = 0
    peak: int = 0  #: the largest number of runs in flight
    starts: list[float] = field(default_factory=list)  #: times of the counted calls that were accepted, since 1970
    reserved: dict[str, float] = field(default_factory=dict)  #: tokens of the runs and responses in flight, by id

    def use(self, limits: Limits, now: float) -> None:
        """Applies changed limits."""
        self.requests = _changed(self.requests, limits.requests_per_minute, limits.burst_s, now)
        self.tokens = _changed(self.tokens, limits.tokens_per_minute, limits.burst_s, now)

    def fill(self, now: float) -> None:
        for bucket in filter(None, (self.requests, self.tokens)):
            bucket.fill(now)

    def reserve(self, id: str, tokens: float) -> None:
        self.reserved[id] = self.reserved.get(id, 0) + tokens
        self.peak = max(self.peak, len(self.reserved))

    def settle(self, id: str, used: int | None) -> None:
        """Replaces the estimate for a run that has ended; None: its use is unknown, and the estimate stays."""
        estimate = self.reserved.pop(id)
        if self.tokens and used is not None:
            self.tokens.take(used - estimate)

    def summary(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "model": self.model,
            "accepted": len(self.starts),
            "refused": self.refused,
            "in_flight": len(self.reserved),
            "peak": self.peak,
        }


def _changed(bucket: Bucket | None, per_minute: float | None, burst_s: float, now: float) -> Bucket | None:
    if per_minute is None:
        return None
    if bucket is None:
        return Bucket(per_minute, burst_s, now)
    bucket.change(per_minute, burst_s, now)
    return bucket
