"""A fleet on a simulated server, without processes and with the time given: the model of the limiter against a server
that limits starts, or calls at a time, or both."""

import heapq
import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.limiter_model import Model, Wait

RUN_S = 2.0  #: how long a run takes


@dataclass
class Server:
    """A token bucket of `rate` starts per second, and `places` for runs. Refused starts may count too, down to a debt
    of one minute."""

    rate: float = math.inf
    burst: float = 1.0
    counts_refused: bool = False
    has_headers: bool = False
    gives_delay: bool = False
    changes: list[tuple[float, float]] = field(default_factory=list)  #: (from when, rate), in this order
    places: float = math.inf
    place_changes: list[tuple[float, float]] = field(default_factory=list)  #: (from when, places), in this order
    level: float = 0.0
    at: float = 0.0
    taken: int = 0  #: places

    def __post_init__(self) -> None:
        self.level = self.burst

    def accepts(self, now: float) -> bool:
        """Returns whether a run may start; it then has a place until `ends`."""
        while self.changes and now >= self.changes[0][0]:
            moment, rate = self.changes.pop(0)
            self._refill(moment)
            self.rate = rate
        while self.place_changes and now >= self.place_changes[0][0]:
            _, self.places = self.place_changes.pop(0)
        self._refill(now)
        accepted = self.level >= 1 and self.taken < self.places
        if accepted or self.counts_refused:
            self.level = max(-60 * self.rate, self.level - 1)
        self.taken += accepted
        return accepted

    def ends(self) -> None:
        self.taken -= 1

    def news(self) -> dict[str, float]:
        """What a reply says: OpenAI's headers, and how long to wait after a refusal."""
        headers: dict[str, float] = {}
        if self.has_headers:
            used = max(self.burst - self.level, 0)
            limit = self.rate * 60
            headers = {
                "requests_limit": limit,
                "requests_remaining": limit - used,
                "requests_reset_s": used / self.rate,
            }
        return headers | ({"delay_s": (1 - self.level) / self.rate} if self.gives_delay and self.level < 1 else {})

    def _refill(self, now: float) -> None:
        more = math.inf if math.isinf(self.rate) else (now - self.at) * self.rate
        self.level, self.at = min(self.burst, self.level + more), now


@dataclass
class Fleet:
    """Workers with `slots` that run `jobs`, and what happened."""

    model: Model
    server: Server
    jobs: int
    slots: int
    rtt_s: float
    set_limits: dict[str, float] = field(default_factory=dict)
    run_s: float = RUN_S
    spread: float = 0.0  #: a run takes up to this share longer or shorter
    is_call: bool = False  #: a run is one call: the reply to the start comes when it ends, as on Chat Completions
    seed: int = 1
    now: float = 0.0
    refusals: int = 0
    asks: int = 0  #: refused by the limiter
    starts: list[float] = field(default_factory=list)  #: times of accepted starts
    end: float = 0.0

    def __post_init__(self) -> None:
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = itertools.count()
        self._ready = [f"j{n}" for n in range(self.jobs)][::-1]
        self._free = self.slots
        self._dice = random.Random(self.seed)

    def run(self, until: float = 10_000.0) -> None:
        self._tick()
        while self._events:
            self.now, _, act, arguments = heapq.heappop(self._events)
            if self.now > until:
                break
            act(*arguments)

    def _after(self, delay_s: float, act: Callable[..., None], *arguments: Any) -> None:
        heapq.heappush(self._events, (self.now + delay_s, next(self._numbers), act, arguments))

    def _way_s(self) -> float:
        return self.rtt_s / 2 * self._dice.uniform(0.7, 1.3)

    def _tick(self) -> None:
        """Workers renew their leases, which dispatches too."""
        self._dispatch()
        if self._ready:
            self._after(1.0, self._tick)

    def _dispatch(self) -> None:
        while self._free and self._ready and self.model.may_dispatch(self.now):
            job = self._ready.pop()
            self.model.dispatched(self.now, job)
            self._free -= 1
            self._after(self._dice.uniform(0.002, 0.02), self._ask, job, None)

    def _ask(self, job: str, ticket: tuple[int, float] | None) -> None:
        reply = self.model.acquire(self.now, job, ticket=ticket, **self.set_limits)
        if isinstance(reply, Wait):
            self.asks += 1
            self._after(max(reply.at - self.now, 0.001) + self._dice.uniform(0, 0.005), self._ask, job, reply.ticket)
        else:
            self._after(self._way_s(), self._arrive, job, self.now)

    def _arrive(self, job: str, sent_at: float) -> None:
        accepted, news = self.server.accepts(self.now), self.server.news()
        run_s = self.run_s * self._dice.uniform(1 - self.spread, 1 + self.spread) if self.spread else self.run_s
        if accepted:
            self.starts.append(self.now)
            self._after(run_s, self.server.ends)
        reply_s = (run_s if accepted and self.is_call else 0) + self._way_s()
        self._after(reply_s, self._reply, job, sent_at, accepted, news)
        if accepted and not self.is_call:
            self._after(run_s + self._way_s(), self._finish, job)

    def _reply(self, job: str, sent_at: float, accepted: bool, news: dict[str, float]) -> None:
        self.model.tell(self.now, job, "accepted" if accepted else "refused", sent_at=sent_at, **news)
        if not accepted:
            self.refusals += 1
            self._after(0.002, self._ask, job, None)
        elif self.is_call:
            self._finish(job)

    def _finish(self, job: str) -> None:
        self.end = self.now
        self.model.leave(self.now, job)
        self._free += 1
        self._dispatch()
