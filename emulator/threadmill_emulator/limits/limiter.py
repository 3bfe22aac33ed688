"""Accepts or refuses requests, by the limits of each key and model."""

from collections.abc import Callable, Iterator
from typing import Any

from threadmill_emulator.limits.account import Account
from threadmill_emulator.limits.forms import Excess, headers, refusal
from threadmill_emulator.limits.slots import Slots
from threadmill_emulator.scripting.limits import Limits


class Limiter:
    def __init__(self, clock: Callable[[], float], limits: Limits, advance_all: Callable[[], None]) -> None:
        """`advance_all` ends the runs and responses that are due; the state then calls `ended` for each."""
        self._clock, self._advance_all = clock, advance_all
        self._keys: dict[str, int] = {}
        self._accounts: dict[tuple[str, str], Account] = {}
        self._in_flight: dict[str, Account] = {}
        self.limits, self.slots = limits, Slots(limits)

    def use(self, limits: Limits) -> None:
        self.limits, now = limits, self._clock()
        for account in self._accounts.values():
            account.use(limits, now)
        self.slots.use(limits)

    def account(self, key: str, model: str) -> Account:
        """Returns the account that a request is charged to, filled up to now."""
        limits, now = self.limits, self._clock()
        shown = model if limits.per_model and not limits.count_all else ""
        account = self._accounts.get((key, shown))
        if account is None:
            number = self._keys.setdefault(key, len(self._keys) + 1)
            account = self._accounts[key, shown] = Account(number, shown)
            account.use(limits, now)
        account.fill(now)
        return account

    def charge_request(self, account: Account) -> None:
        """Takes a request. Raises ApiError (429) if none remains."""
        self._charge(account, "all models", 1, 0)

    def charge_start(self, account: Account, model: str, tokens: float, *, begins: bool) -> None:
        """Takes a call that starts or continues a run. Raises ApiError (429) if a limit is exceeded; then nothing is
        taken but, if refused requests count, a request. `begins`: it is one more run in flight."""
        if begins:
            self._check_concurrency(account, model)
        self._charge(account, model, 0 if self.limits.count_all else 1, tokens)
        account.starts.append(self._clock())

    def started(self, account: Account, id: str, tokens: float) -> None:
        """Notes which run or response the tokens were reserved for."""
        self._in_flight.setdefault(id, account).reserve(id, tokens)

    def ended(self, id: str, used: int | None) -> None:
        """Settles the tokens of a run or response. None: it is not known how many it used."""
        if account := self._in_flight.pop(id, None):
            account.fill(self._clock())
            account.settle(id, used)

    def headers(self, account: Account, route: str) -> dict[str, str]:
        account.fill(self._clock())
        return headers(self.limits.rate_headers, account, route)

    def totals(self) -> dict[str, int]:
        accounts = self._accounts.values()
        return {
            "accepted": sum(len(account.starts) for account in accounts),
            "refused": sum(account.refused for account in accounts),
        }

    def summary(self, *, starts: bool = False) -> dict[str, Any]:
        """Returns the limits and what was used of them. `starts`: with the times of the accepted calls."""
        accounts = [
            account.summary() | ({"starts": account.starts} if starts else {}) for account in self._accounts.values()
        ]
        slots = {"taken": self.slots.taken, "waiting": self.slots.waiting}
        return {"limits": self.limits.model_dump(mode="json"), **self.totals(), "slots": slots, "accounts": accounts}

    def _check_concurrency(self, account: Account, model: str) -> None:
        most = self.limits.concurrency
        if most is None or len(account.reserved) < most:
            return
        self._advance_all()
        if (used := len(account.reserved)) >= most:
            self._refuse(account, Excess("concurrency", model, most, used, 1, None))

    def _charge(self, account: Account, model: str, requests: int, tokens: float) -> None:
        if excess := max(
            self._excesses(account, model, requests, tokens), key=lambda each: each.wait_s or 0, default=None
        ):
            self._refuse(account, excess)
        if account.requests:
            account.requests.take(requests)
        if account.tokens:
            account.tokens.take(tokens)

    def _excesses(self, account: Account, model: str, requests: int, tokens: float) -> Iterator[Excess]:
        for kind, bucket, amount in (("requests", account.requests, requests), ("tokens", account.tokens, tokens)):
            if bucket and amount and (wait_s := bucket.wait_s(amount)):
                used = bucket.per_minute - bucket.level
                yield Excess(kind, model, bucket.per_minute, used, amount, wait_s)

    def _refuse(self, account: Account, excess: Excess) -> None:
        account.refused += 1
        if self.limits.count_refused and account.requests:
            account.requests.take(1)
        raise refusal(self.limits.rate_headers, excess, self.limits.retry_after)
