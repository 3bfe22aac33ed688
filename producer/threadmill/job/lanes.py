"""The lanes: ways to an answer that cost less and take longer. What each asks of the server, and how long it may take.

`batch` goes through the provider's Batch API. The others are ordinary runs of the Responses API at a discount.
Source: OpenAI's guides flex-processing and background; openai-python 3.57, types/responses/response_create_params.py.
"""

from dataclasses import dataclass
from typing import Literal

LaneName = Literal["batch", "flex", "within-2h", "within-8h"]


@dataclass(frozen=True)
class Discount:
    """What a lane of ordinary runs asks for."""

    service_tier: str
    completion_window: str | None  #: of `background_options`; None: the lane has none
    slowest_s: float  #: how long one response may take

    @property
    def timeout_s(self) -> float:
        """Of a job that sets none: a response may need all its time, and a round of tools makes another."""
        return 2 * self.slowest_s


#: OpenAI names no time for flex processing: an hour is ours. A completion window requires standard processing.
_DISCOUNTS = {
    "flex": Discount("flex", None, 3600),
    "within-2h": Discount("default", "2h", 7200),
    "within-8h": Discount("default", "8h", 28_800),
}


def discount_of(lane: str | None) -> Discount | None:
    """What a lane of ordinary runs asks for; None for every other one, and for none."""
    return _DISCOUNTS.get(lane or "")
