"""Calculates the cost of tokens from the prices in the settings. PURE. No prices are built in, because they change.

[prices]
currency = "USD"

[prices."gpt-4o-mini"]      # per million tokens
prompt = 0.15
completion = 0.60
priority_factor = 1.67      # of the service tier `priority`, if it differs from that of other models
"""

import re
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Annotated

from pydantic import ConfigDict, Field

from threadmill.job.lanes import PRIORITY
from threadmill.job.model import InputModel
from threadmill.job.result import ModelUsage, Usage

_MILLION = 1_000_000

#: The date that servers append to a model's name: -2024-07-18, -20241022, -0613.
_DATE = re.compile(r"-\d{3,}[\d-]*")

_Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Price(InputModel):
    """The price of a million tokens."""

    prompt: _Amount
    completion: _Amount
    priority_factor: _Amount | None = None  #: what the service tier `priority` costs; None: as in the table [prices]

    def of(self, usage: Usage) -> float:
        """Returns the cost. Tokens reported only in the total count as output tokens, as reasoning does."""
        written = max(usage.completion_tokens, usage.total_tokens - usage.prompt_tokens)
        return (usage.prompt_tokens * self.prompt + written * self.completion) / _MILLION


class Prices(InputModel):
    """The table [prices]: the fields below, and a Price for each model by name."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, Price] = Field(init=False)

    currency: Annotated[str, Field(min_length=1)] = "USD"
    batch_lane_factor: _Amount = 0.5  #: of the ordinary price, through the provider's Batch API
    # OpenAI's guide flex-processing: flex costs what the Batch API does, the windows 30 % and 40 % less than usual
    flex_lane_factor: _Amount = 0.5
    within_2h_lane_factor: _Amount = 0.7
    within_8h_lane_factor: _Amount = 0.6
    # OpenAI's price list of fast mode: twice the usual price for most models, from 1.67 (gpt-4o-mini) to 2.5 (gpt-5.5)
    priority_factor: _Amount = 2

    @property
    def models(self) -> AbstractSet[str]:
        """The models that have a price."""
        return self.__pydantic_extra__.keys()

    def factor(self, lane: str | None, price: Price) -> float:
        """Returns what a lane or the tier `priority` costs, as a share of this ordinary price of a model.

        It is 1 for an unknown lane of a newer version.
        """
        if lane == PRIORITY:
            return self.priority_factor if price.priority_factor is None else price.priority_factor
        factors = {
            "batch": self.batch_lane_factor,
            "flex": self.flex_lane_factor,
            "within-2h": self.within_2h_lane_factor,
            "within-8h": self.within_8h_lane_factor,
        }
        return factors.get(lane or "", 1)

    def of(self, model: str) -> Price | None:
        """Finds the price by the model's exact name, or by its name without the date.

        A common prefix alone does not match: gpt-4o-mini is not gpt-4o.
        """
        known = self.__pydantic_extra__
        names = [name for name in known if model == name or _is_dated(model, name)]
        return known[max(names, key=len)] if names else None


@dataclass(frozen=True)
class Cost:
    """Money spent. With `unpriced` or `unreported`, the true cost is higher than `amount` by an unknown sum."""

    amount: float | None  #: cost of the models with a price; None: no model has one
    currency: str
    unpriced: tuple[str, ...] = ()  #: models with tokens but without a price; '': the model's name is unknown
    unreported: int = 0  #: runs whose tokens, and therefore cost, the server did not report

    def __str__(self) -> str:
        reasons = [_remedy(model) for model in self.unpriced]
        if self.unreported:
            reasons.append(f"the server did not report the tokens of {self.unreported:,} runs")
        missing = "; ".join(reasons)
        if self.amount is None:
            return missing
        known = f"{self.amount:,.{2 if self.amount >= 1 else 4}f} {self.currency}"
        return f"{known}, but {missing}" if missing else known


def cost(usage: Iterable[ModelUsage], prices: Prices) -> Cost:
    """Returns the cost of these tokens."""
    amounts: list[float] = []
    unpriced, unreported = dict[str, None](), 0
    for part in usage:
        unreported += part.usage.unreported
        if part.usage.model_copy(update={"unreported": 0}) == Usage():
            continue
        price = prices.of(part.model) if part.model else None
        if price is None:
            unpriced[part.model or ""] = None
        else:
            amounts.append(price.of(part.usage) * prices.factor(part.lane, price))
    is_known = bool(amounts) or not (unpriced or unreported)
    return Cost(sum(amounts) if is_known else None, prices.currency, tuple(unpriced), unreported)


def _is_dated(model: str, name: str) -> bool:
    return model.startswith(name) and _DATE.fullmatch(model, len(name)) is not None


def _remedy(model: str) -> str:
    if not model:
        return "no price where the model is not known"
    return f'no price for {model}: add [prices."{model}"]'
