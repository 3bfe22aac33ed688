"""What a batch has spent, and the limits at which it stops."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from threadmill.errors import SettingsError
from threadmill.job.result import Failure, ModelUsage, Usage, add_up
from threadmill.settings.prices import Cost, Prices, cost

#: A batch stops after this many consecutive failures of its endpoint.
MAX_ENDPOINT_FAILURES = 5


@dataclass
class Spending:
    """Tokens, by model and by lane or service tier."""

    prices: Prices
    by_model: tuple[ModelUsage, ...] = ()

    def add(self, parts: Iterable[ModelUsage]) -> None:
        self.by_model = add_up((*self.by_model, *parts))

    @property
    def usage(self) -> Usage:
        return sum((part.usage for part in self.by_model), Usage())

    @property
    def is_reported(self) -> bool:
        """Whether the server reports the tokens of every model."""
        return all(part.usage.is_reported for part in self.by_model)

    @property
    def cost(self) -> Cost:
        return cost(self.by_model, self.prices)


@dataclass(frozen=True)
class BatchLimits:
    """Limits at which a batch stops enqueuing jobs. Running jobs finish."""

    max_cost: float | None = None  #: of all invocations, in the currency of the prices
    max_tokens: int | None = None  #: of all invocations
    max_failures: int | None = None  #: documents of this invocation
    max_endpoint_failures: int = MAX_ENDPOINT_FAILURES  #: consecutive failures of the endpoint

    def check(self, prices: Prices) -> None:
        """Raises SettingsError for a limit of the cost without prices."""
        if self.max_cost is not None and not prices.models:
            raise SettingsError('a limit of the cost needs prices: add [prices."MODEL"] with `prompt` and `completion`')

    def reached(self, spending: Spending, failures: int, endpoint_failures: Sequence[Failure] = ()) -> str | None:
        """Returns a message about the limit that is reached. `endpoint_failures` are the latest consecutive ones."""
        if len(endpoint_failures) >= self.max_endpoint_failures:
            return f"{len(endpoint_failures):,} jobs in a row failed because of the endpoint"
        if (self.max_tokens is not None or self.max_cost is not None) and not spending.is_reported:
            return (
                "its spending is limited, but the server does not report tokens; to run without "
                "these limits, leave out --max-cost and --max-total-tokens (in a report: max_cost and max_tokens)"
            )
        tokens, spent = spending.usage.total_tokens, spending.cost
        if self.max_tokens is not None and tokens >= self.max_tokens:
            return f"{tokens:,} tokens are spent, of at most {self.max_tokens:,}"
        if self.max_cost is not None and spent.amount is not None and spent.amount >= self.max_cost:
            return f"{spent} is spent, of at most {self.max_cost:,.2f}"
        if self.max_cost is not None and spent.unpriced:
            return f"its cost is limited, but not known: {spent}"
        if self.max_failures is not None and failures >= self.max_failures:
            return f"{failures:,} documents failed, of at most {self.max_failures:,}"
        return None
