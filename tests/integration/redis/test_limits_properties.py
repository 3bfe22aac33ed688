"""The limiter under any sequence of starts, replies and pauses: the scripts do what the model does, and both keep the
limits."""

from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from tests.limiter_in_redis import RedisLimiter
from tests.limiter_model import Model, Wait, tuning

pytestmark = pytest.mark.integration

#: Numbers in the state of a pool that the model has, too.
COMPARED = (
    *("rate", "window", "pause_s", "probe", "epoch", "shut_until", "refused", "waits"),
    *("number", "guessed", "tests", "tested", "tested_at", "contradictions", "asks_tat"),
)
JOBS = [f"j{n}" for n in range(24)]
TUNING = tuning()

LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "requests_per_minute": st.sampled_from([0.5, 1, 60, 1200]),
        "tokens_per_minute": st.sampled_from([600, 60_000]),
        "concurrent": st.sampled_from([1, 3, 10]),
    },
)
HEADERS = st.fixed_dictionaries(
    {
        "requests_limit": st.sampled_from([60, 600]),
        "requests_remaining": st.sampled_from([0, 1, 59]),
        "requests_reset_s": st.sampled_from([0, 0.6, 5, 20, 59, 5000]),
    },
    optional={
        "tokens_limit": st.sampled_from([6000, 60_000]),
        "tokens_remaining": st.sampled_from([0, 5000]),
        "tokens_reset_s": st.sampled_from([0.1, 30]),
    },
)
JOB = st.integers(0, len(JOBS) - 1)
ASKS = [
    st.tuples(st.just("ask"), JOB, st.integers(1, 2000)),
    st.tuples(st.just("ask_many"), st.integers(2, len(JOBS)), st.integers(1, 200)),
]
TIME = [
    st.tuples(st.just("returns"), st.integers(1, 8)),
    st.tuples(st.just("passes"), st.sampled_from([0.003, 0.05, 0.4, 1.2, 7, 90])),
]
REPLIES = [
    st.tuples(st.just("accept"), st.integers(0, 20), st.one_of(st.just({}), HEADERS)),
    st.tuples(st.just("refuse"), st.sampled_from([{}, {"delay_s": 0.3}, {"delay_s": 8, "reason": "slow down"}])),
]
OTHERS = [
    st.tuples(st.just("fail")),
    st.tuples(st.just("wait"), st.sampled_from([0.3, 8])),
    st.tuples(st.just("leave"), JOB, st.one_of(st.none(), st.integers(0, 4000))),
    st.tuples(st.just("vanish"), JOB),
    st.tuples(st.just("dispatch"), JOB),
]
#: Others are rare: most sequences are starts, replies and the time between.
STEP = st.one_of(*ASKS, *TIME, *REPLIES, *ASKS, *TIME, *REPLIES, *TIME, *OTHERS)


class Pair:
    """The scripts and the model, with the same steps; and what was observed, for the limits."""

    def __init__(self, store: redis.Redis, limits: dict[str, float]) -> None:
        self.lua = RedisLimiter(store)
        self.model = Model(is_open=self.is_open)
        self.limits = limits
        self.waiting: dict[str, tuple[Wait, int]] = {}
        self.unanswered: list[tuple[str, float]] = []  #: starts and their times
        self.starts: list[float] = []
        self.tokens: list[int] = []
        self.running: set[str] = set()
        self.shut: tuple[float, float] = (0.0, 0.0)
        self.probed_at: float | None = None
        self._store = store
        self._open = set(JOBS)
        for job in JOBS:
            store.hset(self.lua.keys.record(job), "state", "running")

    @property
    def now(self) -> float:
        return self.lua.now

    def is_open(self, job: str) -> bool:
        return job in self._open

    def step(self, what: str, *arguments: Any) -> None:
        getattr(self, what)(*arguments)
        self._compare_states()

    def ask(self, which: int, tokens: int) -> None:
        self._acquire(JOBS[which], tokens)

    def ask_many(self, jobs: int, tokens: int) -> None:
        for job in JOBS[:jobs]:
            self._acquire(job, tokens)

    def returns(self, jobs: int) -> None:
        """The next who wait ask again, each at its time."""
        for _ in range(jobs):
            if self.waiting:
                job, (wait, tokens) = min(self.waiting.items(), key=lambda each: each[1][0].at)
                self._advance_to(wait.at)
                self._acquire(job, tokens)

    def passes(self, seconds: float) -> None:
        self._advance_to(self.now + seconds)

    def accept(self, which: int, headers: dict[str, float]) -> None:
        if self.unanswered:
            job, sent_at = self.unanswered.pop(which % len(self.unanswered))
            self._tell(job, "accepted", sent_at=sent_at, **headers)
            if sent_at >= self.shut[0]:
                self.probed_at = None

    def refuse(self, news: dict[str, Any]) -> None:
        if self.unanswered:
            job, sent_at = self.unanswered.pop()
            self._tell(job, "refused", sent_at=sent_at, **news)
            if self.model.marks.get(job) == "-":
                self.running.discard(job)
            if self.model.shut_at == self.now:
                self.shut = self.now, self.now + news.get("delay_s", 0)
            if self.model.probe is None or self.model.shut_at == self.now:
                self.probed_at = None

    def fail(self) -> None:
        self._tell("j0", "failed")

    def wait(self, delay_s: float) -> None:
        """Another call was refused, and the server named a time."""
        self._tell("j0", "wait", delay_s=delay_s)
        self.shut = self.now, self.now + delay_s

    def leave(self, which: int, tokens_used: int | None) -> None:
        job = JOBS[which]
        self.lua.leave(job, tokens_used)
        self.model.leave(self.now, job, tokens_used)
        self.running.discard(job)

    def vanish(self, which: int) -> None:
        """A job ends, and nobody gives its permit back."""
        self._open.discard(JOBS[which])
        self._store.delete(self.lua.keys.record(JOBS[which]))
        self.running.discard(JOBS[which])
        self.waiting.pop(JOBS[which], None)

    def dispatch(self, which: int) -> None:
        may = self.lua.may_dispatch()
        assert may == self.model.may_dispatch(self.now)
        if may and JOBS[which] in self._open:
            self.lua.dispatched(JOBS[which])
            self.model.dispatched(self.now, JOBS[which])

    def _advance_to(self, moment: float) -> None:
        self.lua.now = max(self.now, round(moment, 6))

    def _tell(self, job: str, kind: str, **news: Any) -> None:
        self.lua.tell(job, kind, **{"sent_at": self.now} | news)
        self.model.tell(self.now, job, kind, **news)

    def _acquire(self, job: str, tokens: int) -> None:
        if job not in self._open:
            return
        wait, _ = self.waiting.pop(job, (None, 0))
        ticket = wait.ticket if wait else None
        is_owed = self._is_owed(job, ticket)
        lua_ticket = f"{ticket[0]} {ticket[1]:.6f}" if ticket else ""
        reply = self.lua.acquire(job, tokens=tokens, ticket=lua_ticket, **self.limits)
        expected = self.model.acquire(self.now, job, ticket=ticket, tokens=tokens, **self.limits)
        note(f"{self.now:.6f} {job} {ticket} -> {reply}")
        if expected is None:
            assert reply is None
            self._started(job, tokens)
            return
        assert not is_owed, "a ticket is honoured"
        assert reply is not None
        delay_s, reason, new_ticket = reply
        assert reason == expected.reason
        assert delay_s == pytest.approx(max(expected.at - self.now, 0.001), abs=2e-6)
        assert new_ticket == (f"{expected.ticket[0]} {expected.ticket[1]:.6f}" if expected.ticket else "")
        self.waiting[job] = expected, tokens

    def _is_owed(self, job: str, ticket: tuple[int, float] | None) -> bool:
        """Whether a ticket must be honoured: in time, not voided, and nothing but the row to wait for."""
        if not ticket or ticket[0] != self.model.epoch or not ticket[1] <= self.now <= ticket[1] + TUNING.LATE_S:
            return False
        return self.now >= self.model.shut_until and not self._is_probe_out() and job in self.running

    def _is_probe_out(self) -> bool:
        return self.probed_at is not None and self.now < self.probed_at + TUNING.PROBE_S

    def _started(self, job: str, tokens: int) -> None:
        assert not self.shut[0] <= self.now < self.shut[1], "nothing is started while the pool is shut"
        assert not self._is_probe_out(), "one probe"
        if self.model.probe:
            self.probed_at = self.now
        self.unanswered.append((job, self.now))
        self.starts.append(self.now)
        self.tokens.append(tokens)
        self.running.add(job)
        assert len(self.running) <= self.limits.get("concurrent", len(JOBS))

    def _compare_states(self) -> None:
        state = {name: float(value) for name, value in self.lua.state().items() if name not in ("mode", "shut_reason")}
        for name in COMPARED:
            assert state.get(name, 0) == pytest.approx(getattr(self.model, name) or 0, abs=1e-5), name

    def check_rates(self) -> None:
        """Never more than the rate allows in any time, a burst, and those who came late, by a second at most."""
        per_s = self.limits.get("requests_per_minute", float("inf")) / 60
        for first, begin in enumerate(self.starts):
            for last in range(first, len(self.starts)):
                allowed = per_s * (self.starts[last] - begin + TUNING.BURST_S + TUNING.LATE_S) + 1
                assert last - first + 1 <= allowed + 1e-6


@given(limits=LIMITS, steps=st.lists(STEP, min_size=20, max_size=80))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_scripts_do_what_the_model_does_and_keep_the_limits(store, limits, steps):
    pair = Pair(store, limits)
    try:
        for what, *arguments in steps:
            pair.step(what, *arguments)
        pair.check_rates()
    finally:
        pair.lua.delete()
