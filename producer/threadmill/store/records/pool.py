"""The record of a pool: its limits, and what the jobs of all workers together do with them."""

import math
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal, Self

from pydantic import AwareDatetime

from threadmill.job.model import Redacted, StoredModel
from threadmill.settings.endpoints.limits import PoolLimits
from threadmill.settings.endpoints.pool_name import Pool
from threadmill.stored import leave_out

#: The time constant, in seconds, of the measured rate of starts: MEASURED_S in lua/include/tuning.lua.
_MEASURED_S = 1.0

#: The numbers in the hash that are read: limits, rates per second, times, and the number of refused starts.
_LIMITS = ("set_requests_per_minute", "set_tokens_per_minute", "set_concurrent", "learned_requests", "learned_tokens")
_RATES = ("rate", "number", "accepted_rate")
_TIMES = ("requests_tat", "tokens_tat", "accepted_at", "shut_until")
_NUMBERS = frozenset((*_LIMITS, *_RATES, *_TIMES, "refused"))


class PoolLimit(StoredModel):
    """A limit per minute that applies to the pool now."""

    per_minute: float
    source: Literal["settings", "headers", "refusals"]  #: the server's headers; a rate that follows its refusals
    row_s: float = 0.0  #: seconds until a start that joins the row now has its turn

    def __str__(self) -> str:
        return f"{self.per_minute:,.0f}" if self.per_minute >= 10 else f"{self.per_minute:.2g}"


class PoolRecord(StoredModel):
    """A pool at the moment `read_at`. Times are by Redis' clock."""

    name: str
    endpoint: str
    model: str | None = None  #: None: all models of the endpoint that have no pool of their own
    key: str | None = None  #: the variable with the key, if the endpoint has several keys
    read_at: AwareDatetime
    used_at: AwareDatetime | None = None  #: when jobs last used it, to the minute; None: not within the last hour
    requests: PoolLimit | None = None  #: None: not known, or there is none
    tokens: PoolLimit | None = None
    concurrent: int | None = None  #: jobs at a time; None: not known, or there is no limit
    concurrent_source: Literal["settings", "refusals"] | None = None  #: a number that follows the server's refusals
    starts_per_minute: float = 0.0  #: those that the server accepted, measured during the last seconds
    jobs: int = 0  #: jobs that were dispatched to the pool and have not ended
    waiting: int = 0  #: ready jobs that may use the pool
    limited: int = 0  #: those of them that a free slot could not take, because of this or another pool
    shut_until: AwareDatetime | None = None  #: when the pool opens again; None: it is open
    shut_reason: Redacted | None = None  #: the reply of the server that shut it
    refused: int = 0  #: starts that the server refused
    paused: str | None = None  #: why an operator paused the endpoint, or ''; None: it is not paused

    @property
    def label(self) -> str:
        """The name for people: `ENDPOINT/MODEL@VARIABLE`."""
        return self.endpoint + (f"/{self.model}" if self.model else "") + (f"@{self.key}" if self.key else "")

    @property
    def is_open(self) -> bool:
        """Whether jobs can start as far as limits allow: the pool is neither shut nor paused."""
        return self.paused is None and self.shut_until is None

    @property
    def state(self) -> str:
        """`open`, `not used`, or the `wait_reason`."""
        return self.wait_reason or ("open" if self.used_at or self.jobs or self.waiting else "not used")

    @property
    def wait_reason(self) -> str | None:
        """Why jobs wait for the pool, such as `shut for 12 s: 429 Rate limit reached`; None if it holds none back."""
        if self.paused is not None:
            return f"paused: {self.paused}" if self.paused else "paused"
        if self.shut_until is not None:
            left_s = (self.shut_until - self.read_at).total_seconds()
            return f"shut for {math.ceil(left_s):,} s" + (f": {self.shut_reason}" if self.shut_reason else "")
        return f"at its limit{self._reached}" if self.limited else None

    @property
    def _reached(self) -> str:
        """The limit for which jobs wait, as ` of 1,200 requests a minute`; '' if it is not known."""
        if self.concurrent is not None and self.jobs >= self.concurrent:
            return f" of {self.concurrent:,} jobs at a time"
        rows = {"requests": self.requests, "tokens": self.tokens}
        what, limit = max(rows.items(), key=lambda each: each[1].row_s if each[1] else -1.0)
        return f" of {limit} {what} a minute" if limit else ""

    @classmethod
    def unused(cls, name: str, read_at: datetime, limits: PoolLimits) -> Self:
        """Returns a pool that no job uses, with the limits that are set for it."""
        fields = {f"set_{field}": str(value) for field, value in limits.model_dump(exclude_none=True).items()}
        return cls.read(name, read_at, fields)

    @classmethod
    def read(cls, name: str, read_at: datetime, fields: Mapping[str, str], **more: Any) -> Self:
        """Parses the hash of a pool; `more` are further fields. A damaged number counts as absent."""
        endpoint, model, key = Pool.parse(name)
        numbers = {field: _number(name, text) for field, text in fields.items() if field in _NUMBERS}
        left_s = {field: numbers.get(field, 0.0) - read_at.timestamp() for field in _TIMES}
        is_shut = left_s["shut_until"] > 0
        concurrent, concurrent_source = _concurrent(numbers)
        return cls(
            name=name,
            endpoint=endpoint,
            model=model,
            key=key,
            read_at=read_at,
            requests=_requests(numbers, left_s["requests_tat"]),
            tokens=_tokens(numbers, left_s["tokens_tat"]),
            concurrent=concurrent,
            concurrent_source=concurrent_source,
            starts_per_minute=_measured(numbers, -left_s["accepted_at"]),
            shut_until=datetime.fromtimestamp(numbers["shut_until"], UTC) if is_shut else None,
            shut_reason=fields.get("shut_reason") if is_shut else None,
            refused=int(numbers.get("refused", 0)),
            **more,
        )


def _requests(numbers: Mapping[str, float], row_s: float) -> PoolLimit | None:
    if set_limit := numbers.get("set_requests_per_minute"):
        return _limit("settings", set_limit, row_s)
    refusals, headers = numbers.get("rate", 0.0) * 60, numbers.get("learned_requests", 0.0)
    if refusals and not 0 < headers < refusals:
        return _limit("refusals", refusals, row_s)
    return _limit("headers", headers, row_s)


def _concurrent(numbers: Mapping[str, float]) -> tuple[int | None, Literal["settings", "refusals"] | None]:
    """Returns the jobs at a time, and the source. As numbers.are_learned in lua/include/numbers.lua."""
    if set_limit := int(numbers.get("set_concurrent", 0)):
        return set_limit, "settings"
    if numbers.get("rate") or numbers.get("learned_requests") or not (number := numbers.get("number")):
        return None, None
    return int(number + 0.5), "refusals"


def _tokens(numbers: Mapping[str, float], row_s: float) -> PoolLimit | None:
    if set_limit := numbers.get("set_tokens_per_minute"):
        return _limit("settings", set_limit, row_s)
    return _limit("headers", numbers.get("learned_tokens", 0.0), row_s)


def _measured(numbers: Mapping[str, float], age_s: float) -> float:
    """Returns the accepted starts per minute, an average that forgets with its age."""
    return numbers.get("accepted_rate", 0.0) * 60 * math.exp(-max(0.0, age_s) / _MEASURED_S)


def _limit(source: Literal["settings", "headers", "refusals"], per_minute: float, row_s: float) -> PoolLimit | None:
    return PoolLimit(source=source, per_minute=per_minute, row_s=max(0.0, row_s)) if per_minute > 0 else None


def _number(pool: str, text: str) -> float:
    """Returns a number; 0, with a warning, if it is damaged."""
    with suppress(ValueError):
        if math.isfinite(number := float(text)):
            return number
    leave_out(f"a number of pool {pool}", "", "no number")
    return 0.0
