"""What a batch has spent, and when that is enough."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from threadmill.errors import SettingsError
from threadmill.prices import Cost, Prices, cost
from threadmill.result import Failure, ModelUsage, Usage, add_up

#: Jobs in a row that the endpoint may fail before a batch stops.
MAX_ENDPOINT_FAILURES = 5


@dataclass
class Spending:
    """Tokens, by the model that answered and the lane that its answer came through."""

    prices: Prices
    by_model: tuple[ModelUsage, ...] = ()

    def add(self, parts: Iterable[ModelUsage]) -> None:
        self.by_model = add_up((*self.by_model, *parts))

    @property
    def usage(self) -> Usage:
        return sum((part.usage for part in self.by_model), Usage())

    @property
    def is_reported(self) -> bool:
        """Whether the server tells of the tokens of every model."""
        return all(part.usage.is_reported for part in self.by_model)

    @property
    def cost(self) -> Cost:
        return cost(self.by_model, self.prices)


@dataclass(frozen=True)
class Limits:
    """Beyond one of these nothing more is asked; what a worker has begun goes on to its end."""

    max_cost: float | None = None  #: in the currency of the prices, of all runs of the batch
    max_tokens: int | None = None  #: of all runs of the batch
    max_failures: int | None = None  #: in one run
    max_endpoint_failures: int = MAX_ENDPOINT_FAILURES  #: jobs in a row that fail because of the endpoint

    def check(self, prices: Prices) -> None:
        """Raises SettingsError for a limit that could never be seen to be reached."""
        if self.max_cost is not None and not prices.models:
            raise SettingsError('a limit of the cost needs prices: add [prices."MODEL"] with `prompt` and `completion`')

    def reached(self, spending: Spending, failures: int, endpoint_failures: Sequence[Failure] = ()) -> str | None:
        """The limit that is reached, in words. `endpoint_failures`: those of the last jobs, in a row."""
        if len(endpoint_failures) >= self.max_endpoint_failures:
            return f"{len(endpoint_failures):,} jobs in a row failed because of the endpoint"
        if (self.max_tokens is not None or self.max_cost is not None) and not spending.is_reported:
            return (
                "what it spends is limited, and cannot be seen: the server does not report tokens; to run without "
                "these limits, leave out --max-cost and --max-total-tokens (in a report: max_cost and max_tokens)"
            )
        tokens, spent = spending.usage.total_tokens, spending.cost
        if self.max_tokens is not None and tokens >= self.max_tokens:
            return f"{tokens:,} tokens are spent, of at most {self.max_tokens:,}"
        if self.max_cost is not None and spent.amount is not None and spent.amount >= self.max_cost:
            return f"{spent} is spent, of at most {self.max_cost:,.2f}"
        if self.max_cost is not None and spent.unpriced:
            return f"what it costs is limited, and cannot be told: {spent}"
        if self.max_failures is not None and failures >= self.max_failures:
            return f"{failures:,} documents failed, of at most {self.max_failures:,}"
        return None
