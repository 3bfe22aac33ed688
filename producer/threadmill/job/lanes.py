"""What a job can ask for besides the ordinary price: lanes, which cost less and take longer, and the tier `priority`.

The lane `batch` goes through the provider's Batch API. The others are ordinary runs of the Responses API at a discount.
Where the code says "lane" of a run or of its tokens, it may be the tier too: it decides the price.
Source: OpenAI's guides flex-processing, background and fast-mode, which was priority-processing until July 2026;
openai-python 3.57, types/responses/response_create_params.py.
"""

from dataclasses import dataclass
from typing import Literal

LaneName = Literal["batch", "flex", "within-2h", "within-8h"]
TierName = Literal["priority"]

#: The service tier that is faster and costs more. It is no lane: such a run takes no longer than others.
PRIORITY: TierName = "priority"


@dataclass(frozen=True)
class Discount:
    """The request parameters and the time limit of a discounted lane."""

    service_tier: str
    completion_window: str | None  #: for `background_options`; None: not sent
    slowest_s: float  #: the longest time that one response may take

    @property
    def timeout_s(self) -> float:
        """The default `timeout_s` of a job: two responses, because a round of tools needs a second one."""
        return 2 * self.slowest_s


#: OpenAI documents no limit for flex processing; we use one hour. A completion window requires standard processing.
_DISCOUNTS = {
    "flex": Discount("flex", None, 3600),
    "within-2h": Discount("default", "2h", 7200),
    "within-8h": Discount("default", "8h", 28_800),
}


def discount_of(lane: str | None) -> Discount | None:
    """Returns the discount of a lane; None for the batch lane and for no lane."""
    return _DISCOUNTS.get(lane or "")


def tier_of(lane: str | None) -> str | None:
    """Returns the service tier that requests name; None for the batch lane and for no lane."""
    discount = discount_of(lane)
    return discount.service_tier if discount is not None else PRIORITY if lane == PRIORITY else None


def window_of(lane: str | None) -> str | None:
    """Returns the completion window that requests name; None: they name none."""
    discount = discount_of(lane)
    return discount.completion_window if discount is not None else None


def in_words(lane: str) -> str:
    """Returns a lane or a service tier as messages name it."""
    return f"the service tier {lane}" if lane == PRIORITY else f"the lane {lane}"
