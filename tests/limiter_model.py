"""The limiter of one pool as a pure model: what lua/include/limits.lua does, without Redis and with the time given.

Hypothesis drives it beside the scripts, and scripts/bench_limits_simulation.py against a simulated server.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from threadmill.store import scripts

_TUNING = Path(scripts.__file__).with_name("lua") / "include" / "tuning.lua"


def tuning(**changes: float) -> SimpleNamespace:
    """Returns the parameters of tuning.lua, some of them changed."""
    stored = {name: float(value) for name, value in re.findall(r"^  ([A-Z_]+) = ([\d.]+),", _TUNING.read_text(), re.M)}
    unknown = changes.keys() - stored.keys()
    if unknown:
        raise ValueError(f"tuning.lua has no parameter {', '.join(sorted(unknown))}")
    return SimpleNamespace(**stored | changes)


@dataclass(frozen=True)
class Wait:
    """A start that is refused: when to ask again, why, and with which ticket: the epoch and time of its place."""

    at: float
    reason: str
    ticket: tuple[int, float] | None = None


@dataclass
class Row:
    """GCRA: the time from which the next start may be made, after all places in the row or after all starts made."""

    tat: float = 0.0
    spent: float = 0.0


@dataclass
class Model:
    """The limiter of one pool. `is_open(job)`: whether the job has a record and has not ended."""

    is_open: Callable[[str], bool] = lambda job: True
    tuning: SimpleNamespace = field(default_factory=tuning)
    set_limits: dict[str, float] = field(default_factory=dict)  #: by kind: requests, tokens, concurrent
    learns: bool = True
    known: bool = False  #: a start has told the limits of the settings
    dispatched_at: float | None = None  #: the first dispatch
    rows: dict[str, Row] = field(default_factory=lambda: {"requests": Row(), "tokens": Row()})
    jobs: dict[str, tuple[float, float] | None] = field(
        default_factory=dict
    )  #: tokens reserved, estimated; None: not started
    starts: dict[str, float] = field(default_factory=dict)  #: those without a reply, and when they count as accepted
    dispatch_tat: float = 0.0
    tokens_estimated: float | None = None  #: means of jobs
    tokens_used: float | None = None
    marks: dict[str, str] = field(
        default_factory=dict
    )  #: '-': its start was refused; '+': it went on, with tool outputs
    reclaimed_at: float = 0.0
    asks_tat: float = 0.0  #: when all who wait for a permit have asked again
    waits: int = 0
    epoch: int = 0
    shut_until: float = 0.0
    shut_at: float = 0.0
    shut_reason: str = ""
    pause_s: float | None = None
    probe: float | None = None  #: 0: needed; until when it is out
    down_until: float | None = None
    learned: dict[str, float] = field(default_factory=dict)  #: per minute, from headers
    learned_at: float = 0.0
    longest_reset_s: dict[str, float] = field(default_factory=dict)
    window: float | None = None
    rate: float | None = None
    is_slow: bool = False
    w_max: float = 0.0
    t_max: float = 0.0
    number: float | None = None  #: of jobs at a time
    guessed: float | None = None  #: the number as it was first guessed, until it is confirmed
    tests: int = 0  #: that were refused, of the guess
    tested: int | None = None  #: jobs that had started with the last test
    tested_at: float | None = None  #: when the first test without a reply was started
    accepted_rate: float = 0.0
    accepted_at: float = 0.0
    guessed_at: float = -1e9
    contradictions: int = 0
    refused: int = 0
    accepted_in_a_row: int = 0
    accepted_before: int = 0

    # Starts

    def acquire(
        self,
        now: float,
        job: str,
        ticket: tuple[int, float] | None = None,
        tokens: float = 0,
        learn: bool = True,
        **limits: float,
    ) -> Wait | None:
        """Returns None for a start. `limits`: those that are set, `requests_per_minute` and so on."""
        self._set_limits(now, learn, limits)
        self._settle_test(now)
        if not self._take_permit(now, job):
            reason = "concurrent" if "concurrent" in self.set_limits else "as many jobs run as the server takes"
            return self._refuse(self._asks_again(now), reason)
        expected = self._expected(tokens)
        costs = self._costs(expected)
        opens, _ = self._opening(now)
        at = self._place(now, ticket)
        if at is not None and at > now + self.tuning.EARLY_S:
            return self._refuse(at, "its place in the row", ticket)
        if at is None or opens > now:
            at, reason = self._next(now, costs)
            if at > now:
                return self._join(now, costs, at, reason)
            if self._has_window() and self._is_window_full(now):
                return self._refuse(at + self.tuning.ASK_WINDOW_S * self._share(), "replies to the first starts")
            self._take(costs, at, "tat")
        self._grant(now, job, costs, at, (expected, tokens) if "tokens" in costs else (0, 0))
        return None

    def leave(self, now: float, job: str, tokens_used: float | None = None) -> None:
        self.starts.pop(job, None)
        self._free(now, job, tokens_used)

    def may_dispatch(self, now: float) -> bool:
        self._settle_test(now)
        times = (self.shut_until, self.rows["requests"].tat, self.rows["tokens"].tat, self.dispatch_tat)
        return (
            not self._awaits_limits(now)
            and self._are_free(now, 1 + self._has_waiting(now))
            and max(times) < now + self.tuning.LOOKAHEAD_S
        )

    def _awaits_limits(self, now: float) -> bool:
        if self.known or self.dispatched_at is None or now > self.dispatched_at + self.tuning.UNKNOWN_S:
            return False
        return list(self.jobs.values()).count(None) >= self.tuning.WINDOW

    def dispatched(self, now: float, job: str) -> None:
        self.jobs.setdefault(job, None)
        if not self.known and self.dispatched_at is None:
            self.dispatched_at = now
        cost_s = max(self._costs(self.tokens_used or self.tokens_estimated or 0).values(), default=0)
        if cost_s > 0:
            self.dispatch_tat = max(self.dispatch_tat, now) + cost_s * self.tuning.DISPATCH

    def _set_limits(self, now: float, learn: bool, limits: dict[str, float]) -> None:
        self.learns, self.known = learn, True
        new = {name.removesuffix("_per_minute"): limit for name, limit in limits.items()}
        if not learn:
            self.learned.clear()
        if not learn or "requests" in new or "concurrent" in new:
            self._forget_number()
        if not learn or "requests" in new:
            self.rate = None
        for kind, row in self.rows.items():
            old, limit = self.set_limits.get(kind), new.get(kind)
            if old == limit:
                continue
            if old and limit:
                row.spent = now + ((row.spent or now) - now) * old / limit
            self._clear(now)
        self.set_limits = new

    def _refuse(self, at: float, reason: str, ticket: tuple[int, float] | None = None) -> Wait:
        self.waits += 1
        return Wait(at, reason, ticket)

    def _grant(self, now: float, job: str, costs: dict[str, float], at: float, tokens: tuple[float, float]) -> None:
        self._take(costs, at, "spent")
        if self.probe is not None:
            self.probe = now + self.tuning.PROBE_S
        if self._has_window():
            self.starts[job] = now + self.tuning.UNANSWERED_S
        has_started = self._has_started(job)
        reserved, estimated = self.jobs.get(job) or (0, 0)
        self.jobs[job] = round(reserved + tokens[0], 6), estimated + tokens[1]
        self._mark_start(now, job, has_started)
        if self.tokens_estimated is None and "tokens" in costs:
            self.tokens_estimated = tokens[1]

    def _expected(self, estimate: float) -> float:
        if self.tokens_used is None or self.tokens_estimated is None:
            return estimate
        return estimate * max(0.1, min(10, self.tokens_used / self.tokens_estimated))

    def _learn_tokens(self, estimated: float, used: float) -> None:
        if self.tokens_used is None or self.tokens_estimated is None:
            self.tokens_estimated, self.tokens_used = estimated, used
        else:
            self.tokens_estimated += (estimated - self.tokens_estimated) * self.tuning.TOKENS_WEIGHT
            self.tokens_used += (used - self.tokens_used) * self.tuning.TOKENS_WEIGHT

    # Places

    def _most(self, now: float) -> float:
        """How many jobs may have a permit."""
        if "concurrent" in self.set_limits or not self._learns_number():
            return self.set_limits.get("concurrent", math.inf)
        assert self.number is not None
        if self.guessed is None:
            return math.floor(self.number + 0.5)
        pause_s = min(self.tuning.PAUSE_S * 2**self.tests, self.tuning.LONGEST_PAUSE_S)
        return self.number + (max(1, self.number - self.guessed) if now >= self.t_max + pause_s else 0)

    def _has_room(self, now: float, more: int) -> bool:
        return len(self.jobs) + more <= self._most(now)

    def _has_started(self, job: str) -> bool:
        return self.jobs.get(job) is not None and self.marks.get(job) != "-"

    def _started(self) -> int:
        """How many jobs have started and were not refused."""
        return sum(map(self._has_started, self.jobs))

    def _mark_start(self, now: float, job: str, has_started: bool) -> None:
        if has_started:
            self.marks[job] = "+"
            return
        self.marks.pop(job, None)
        if self.guessed is not None and self._learns_number() and self._started() > (self.number or 0):
            self.tested = self._started()
            self.tested_at = now if self.tested_at is None else self.tested_at

    def _has_waiting(self, now: float) -> bool:
        """Whether a job with a slot waits for a permit: the next one is for it."""
        return now < self.asks_tat + self.tuning.ASKED_S

    def _asks_again(self, now: float) -> float:
        at = max(now, self.asks_tat) + 1 / max(1, self.measured(now))
        at = min(at, now + self.tuning.ASK_CONCURRENT_S)
        self.asks_tat = max(self.asks_tat, at)
        return at

    def _are_free(self, now: float, more: int) -> bool:
        if self._has_room(now, more):
            return True
        if now - self.reclaimed_at >= self.tuning.RECLAIM_S:
            self.reclaimed_at = now
            for job in [job for job in self.jobs if not self.is_open(job)]:
                self._free(now, job, 0)
        return self._has_room(now, more)

    def _take_permit(self, now: float, job: str) -> bool:
        if self._has_started(job):
            return True
        if self._are_free(now, 0 if job in self.jobs else 1):
            self.jobs.setdefault(job, None)
            return True
        self._free(now, job, 0)
        return False

    def _free(self, now: float, job: str, tokens_used: float | None) -> None:
        self.marks.pop(job, None)
        (reserved, estimated), rate = self.jobs.pop(job, None) or (0, 0), self._token_rate()
        if rate and estimated and tokens_used is not None:
            if tokens_used > 0:
                self._learn_tokens(estimated, tokens_used)
            row = self.rows["tokens"]
            row.tat = max(row.tat, now - self.tuning.BURST_S) + (tokens_used - reserved) / rate
            row.spent = max(row.spent, now - self.tuning.BURST_S) + (tokens_used - reserved) / rate

    # The row

    def _request_rate(self) -> float | None:
        if "requests" in self.set_limits:
            return self.set_limits["requests"] / 60
        if "requests" in self.learned:
            return min(self.learned["requests"] * self.tuning.SHARE / 60, self.rate or math.inf)
        return self.rate

    def _token_rate(self) -> float | None:
        if "tokens" in self.set_limits:
            return self.set_limits["tokens"] / 60
        return self.learned["tokens"] * self.tuning.SHARE / 60 if "tokens" in self.learned else None

    def _costs(self, tokens: float) -> dict[str, float]:
        """What a start takes from each limit, in seconds."""
        requests, token_rate = self._request_rate(), self._token_rate()
        return ({"requests": 1 / requests} if requests else {}) | (
            {"tokens": tokens / token_rate} if token_rate else {}
        )

    def _take(self, costs: dict[str, float], at: float, of: str) -> None:
        for kind, cost_s in costs.items():
            row = self.rows[kind]
            setattr(row, of, max(getattr(row, of), at - self.tuning.BURST_S) + cost_s)

    def _clear(self, start: float) -> None:
        self.epoch += 1
        for row in self.rows.values():
            row.tat = max(row.spent, start)

    def _opening(self, now: float) -> tuple[float, str]:
        if self.shut_until > now:
            return self.shut_until, f"the server: {self.shut_reason}"
        if (self.probe or 0) > now:
            return now + self.tuning.ASK_PROBE_S, f"the server: {self.shut_reason}"
        if self.probe:
            self.probe = None
        return now, ""

    def _next(self, now: float, costs: dict[str, float]) -> tuple[float, str]:
        at, reason = self._opening(now)
        for kind in costs:
            if self.rows[kind].tat > at:
                is_set = kind in self.set_limits
                at, reason = self.rows[kind].tat, kind + ("_per_minute" if is_set else " that the server allows")
        return at, reason

    def _place(self, now: float, ticket: tuple[int, float] | None) -> float | None:
        if not ticket or ticket[0] != self.epoch or now > ticket[1] + self.tuning.LATE_S:
            return None
        return ticket[1]

    def _join(self, now: float, costs: dict[str, float], at: float, reason: str) -> Wait:
        longest_s = self.tuning.RESERVE_S
        if self.rate is not None:
            longest_s = max(self.tuning.RESERVE_LEARNING_S, self.tuning.RESERVE_STARTS / self.rate)
        if at > now + longest_s:
            return self._refuse(now + longest_s * (0.5 + self._share() / 2), reason)
        self._take(costs, at, "tat")
        return self._refuse(at, reason, (self.epoch, round(at, 6)))

    def _share(self) -> float:
        return self.waits * 0.618034 % 1

    # Replies

    def tell(self, now: float, job: str, kind: str, **news: Any) -> None:
        """`news`: the other fields of news, as in limits.lua."""
        news.setdefault("sent_at", now)
        self._read_headers(now, kind, news)
        if kind == "accepted":
            self._accepted(now, news["sent_at"])
        elif kind == "wait":
            self.refused += 1
            if news["sent_at"] >= self.shut_at:
                self._shut(now, news["delay_s"], news.get("reason", "it refused a call"))
        elif kind == "refused":
            self._unstart(job)
            self._refused(now, news["sent_at"], news.get("delay_s"), news.get("reason", "it refused a call"))
        else:
            self.down_until = now + news.get("delay_s", self.tuning.DOWN_S)
        self.starts.pop(job, None)

    def measured(self, now: float) -> float:
        return self.accepted_rate * math.exp(-(now - self.accepted_at) / self.tuning.MEASURED_S)

    def _has_window(self) -> bool:
        return self.learns and self._request_rate() is None and not self._learns_number()

    def _is_window_full(self, now: float) -> bool:
        self.starts = {job: until for job, until in self.starts.items() if until > now}
        return len(self.starts) >= (self.window or self.tuning.WINDOW)

    def _is_learning(self) -> bool:
        return self.learns and "requests" not in self.set_limits

    def _accepted(self, now: float, sent_at: float) -> None:
        self.accepted_rate = self.measured(now) + 1 / self.tuning.MEASURED_S
        self.accepted_at = now
        if sent_at < self.shut_at:
            return
        self.probe = self.pause_s = self.down_until = None
        if self.rate is not None and not self.is_slow:
            self.accepted_in_a_row += 1
        if self._learns_number():
            self._grow_number(now, sent_at)
        elif self.rate is not None:
            self._grow(now)
        elif self._request_rate() is None:
            self.window = (self.window or self.tuning.WINDOW) + 1

    def _unstart(self, job: str) -> None:
        if self._has_started(job) and self.marks.get(job) != "+":
            self.marks[job] = "-"

    # The number of jobs at a time

    def _learns_number(self) -> bool:
        return self.number is not None and self.rate is None and "requests" not in self.learned

    def _forget_number(self) -> None:
        self.number = self.guessed = self.tested = self.tested_at = None

    def _settle_test(self, now: float) -> None:
        is_due = self.tested_at is not None and now >= self.tested_at + self.tuning.UNANSWERED_S
        if self._learns_number() and is_due:
            self._pass_test(now)

    def _pass_test(self, now: float) -> None:
        assert self.tested is not None
        assert self.guessed is not None
        self.number, self.tested, self.tested_at, self.tests = self.tested, None, None, 0
        if self.number > self.tuning.GUESS_ABOVE * self.guessed + 0.5:
            self._forget_number()
            self.is_slow, self.rate = True, max(self.tuning.FIRST_RATE, self.measured(now) / 2)

    def _grow_number(self, now: float, sent_at: float) -> None:
        assert self.number is not None
        if self.tested_at is not None and sent_at >= self.tested_at:
            self._pass_test(now)
            return
        if sent_at >= (self.t_max if self.guessed is None else self.guessed_at):
            self.accepted_in_a_row += 1
        if self.guessed is not None:
            return
        age = self.accepted_in_a_row / max(self.tuning.NUMBER_STARTS, self.w_max)
        number = self.w_max + self._number_cut() * (age - 1) ** 3
        self.number = max(1, min(number, max(self.number, self.tuning.NUMBER_HEADROOM * len(self.jobs) + 1)))

    def _number_cut(self) -> float:
        return max(1, (1 - self.tuning.NUMBER_BETA) * self.w_max)

    def _explains(self, now: float, sent_at: float) -> bool:
        """Whether the number of jobs at a time explains a refusal."""
        started = self._started()
        if not self._learns_number():
            return self._guess(now, sent_at, started)
        assert self.number is not None
        if self.guessed is not None:
            return self._refused_guess(now, sent_at, started)
        if sent_at >= self.t_max:
            if self.accepted_in_a_row >= self.tuning.ACCEPTED_BELOW:
                self.contradictions = self.contradictions + 1 if self.number < self.w_max - 0.5 else 0
            if self.contradictions >= self.tuning.CONTRADICTIONS:
                self._forget_number()
                return False
            self.t_max, self.w_max = now, self.number
        self._cut_number(started)
        return True

    def _guess(self, now: float, sent_at: float, started: int) -> bool:
        may_be = self._is_learning() and "concurrent" not in self.set_limits and "requests" not in self.learned
        if not may_be or not started or (self.is_slow and self.rate is not None) or sent_at < self.shut_at:
            return False
        if now < self.guessed_at + self.tuning.GUESS_AGAIN_S:
            return False
        self.rate = self.tested = self.tested_at = None
        self.number = self.guessed = started
        self.t_max = self.guessed_at = now
        self.tests = self.accepted_in_a_row = 0
        self.probe = self.pause_s = None
        return True

    def _refused_guess(self, now: float, sent_at: float, started: int) -> bool:
        assert self.number is not None
        assert self.guessed is not None
        self.number = min(self.number, max(1, started))
        if sent_at < self.guessed_at:
            self.guessed = self.number
            return True
        if started < self.tuning.GUESS_BELOW * self.guessed:
            self._forget_number()
            return False
        if sent_at >= self.t_max:
            self.tested = self.tested_at = None
            self.t_max = now
            self.tests += 1
            if self.accepted_in_a_row >= self.tuning.CONFIRMED:
                self.guessed, self.w_max, self.contradictions = None, self.number, 0
                self._cut_number(started)
        return True

    def _cut_number(self, started: int) -> None:
        self.w_max = max(1, min(self.w_max, started))
        self.number = max(1, self.w_max - self._number_cut())
        self.accepted_in_a_row = 0

    def _grow(self, now: float) -> None:
        assert self.rate is not None
        if self.is_slow:
            rate = self.rate + self.tuning.GROWTH
        else:
            plateau_s = max(self.tuning.PLATEAU_S, self.tuning.PLATEAU_STARTS / self.w_max)
            age = (now - self.t_max) / plateau_s
            rate = self.w_max * (1 + (1 - self.tuning.BETA) * (age - 1) ** 3)
        most = max(self.rate, self.tuning.HEADROOM * self.measured(now))
        self.rate = max(self.tuning.LOWEST_RATE, min(rate, most))
        if "requests" in self.learned and self.rate >= self.learned["requests"] * self.tuning.SHARE / 60:
            self.rate = None

    def _refused(self, now: float, sent_at: float, delay_s: float | None, reason: str) -> None:
        self.refused += 1
        longest_s = self.tuning.LONGEST_SHUT_S
        if delay_s is None and self._explains(now, sent_at):
            return
        if sent_at < self.shut_at:
            if delay_s is not None and self.shut_until > now:
                self.shut_until = max(self.shut_until, now + min(delay_s, longest_s))
            return
        is_repeated = self.probe is not None or self.pause_s is not None
        is_chance = self._may_be_chance()
        self.accepted_before, self.accepted_in_a_row = self.accepted_in_a_row, 0
        if not is_repeated and not is_chance and self._is_learning() and sent_at >= self.learned_at:
            self._cut(now)
        for_s = delay_s if delay_s is not None else self._next_pause()
        if is_repeated or delay_s is not None or self.is_slow or self.rate is None:
            self.probe = 0
        self._shut(now, for_s, reason)

    def _may_be_chance(self) -> bool:
        """Whether the server also accepts calls at this rate: it did so before the last cut, and does since then."""
        is_below = self.rate is not None and not self.is_slow and self.rate < self.tuning.BELOW * self.w_max
        return is_below and self.accepted_in_a_row >= self.tuning.ACCEPTED_BELOW

    def _cut(self, now: float) -> None:
        measured, rate = self.measured(now), self._request_rate()
        if rate is None:
            self.is_slow, self.rate = True, max(self.tuning.FIRST_RATE, measured / 2)
            return
        trusted = 1.0 if self.accepted_before >= self.tuning.ACCEPTED_RARELY else self.tuning.TRUSTED_SHARE
        self.w_max = max(self.tuning.LOWEST_RATE, min(rate, max(measured, trusted * rate)))
        self.is_slow, self.t_max = False, now
        self.rate = max(self.tuning.LOWEST_RATE, self.w_max * self.tuning.BETA)

    def _next_pause(self) -> float:
        first = self.tuning.PAUSE_S
        if self.rate is not None and not self.is_slow:
            first = self.tuning.CUT_PAUSE / self.rate
        pause_s = min(first if self.pause_s is None else self.pause_s, self.tuning.LONGEST_PAUSE_S)
        self.pause_s = 2 * pause_s
        return pause_s

    def _shut(self, now: float, for_s: float, reason: str) -> None:
        self.shut_at, self.shut_until = now, now + min(for_s, self.tuning.LONGEST_SHUT_S)
        self.shut_reason = reason
        self._clear(self.shut_until)

    # Headers

    def _read_headers(self, now: float, kind: str, news: dict[str, Any]) -> None:
        if not self.learns:
            return
        waits = {}
        for what in ("requests", "tokens"):
            limit = news.get(f"{what}_limit")
            if limit is not None:
                found = self._learn(now, what, limit, news.get(f"{what}_remaining"), news.get(f"{what}_reset_s") or 0)
                waits |= {what: found} if found else {}
        if waits and kind != "refused" and news["sent_at"] >= self.shut_at:
            self._shut(now, max(waits.values()), f"no {next(iter(waits))} are left")

    def _learn(self, now: float, what: str, limit: float, remaining: float | None, reset_s: float) -> float | None:
        """Returns for how long nothing is left of the limit."""
        used = max(limit - (limit if remaining is None else remaining), 1)
        longest_s = self.longest_reset_s[what] = max(self.longest_reset_s.get(what, 0), reset_s)
        per_minute = reset_s <= 0 or (
            longest_s <= self.tuning.LONG_RESET_S
            and (longest_s > self.tuning.SHORT_RESET_S or used / reset_s * 60 <= 2 * limit)
        )
        learned = limit if per_minute else None
        if learned != self.learned.get(what):
            self.learned_at = now
            self.learned.pop(what, None)
            self.learned |= {what: learned} if learned else {}
        if remaining is None or remaining >= 1 or reset_s <= 0:
            return None
        is_continuous = abs(used / reset_s * 60 / limit - 1) < 0.05
        return None if is_continuous else min(reset_s, self.tuning.LONG_RESET_S)
