"""The lanes, which cost less and take longer: their request parameters and time limits.

`batch` goes through the provider's Batch API. The others are ordinary runs of the Responses API at a discount.
Source: OpenAI's guides flex-processing and background; openai-python 3.57, types/responses/response_create_params.py.
"""

from dataclasses import dataclass
from typing import Literal

LaneName = Literal["batch", "flex", "within-2h", "within-8h"]


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
