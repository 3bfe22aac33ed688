"""Service tiers, as the Responses API and Chat Completions know them.

Source: openai-python 3.57, types/responses/response_create_params.py; OpenAI's guides flex-processing and fast-mode.
"""

from collections import Counter

from threadmill_emulator.errors.responses_api import no_capacity, no_tier
from threadmill_emulator.scripting.options import Options
from threadmill_emulator.scripting.scenarios import Script

#: The tiers that a server may lack, by their names in requests. Fast mode has two.
_OFFERED = {"flex": "flex", "priority": "priority", "fast": "priority"}


class FlexCapacity:
    """Refuses the first requests for flex processing if a script says so."""

    def __init__(self) -> None:
        self._refused: Counter[str] = Counter()

    def take(self, tier: str | None, script: Script, key: str) -> None:
        """Counts one request of this tier under `key`; raises ApiError if it is refused."""
        if tier == "flex" and self._refused[key] < script.flex_refusals:
            self._refused[key] += 1
            raise no_capacity()


def check_tier(asked: str | None, options: Options) -> None:
    """Raises ApiError if the server does not have the tier."""
    needed = _OFFERED.get(asked or "")
    if needed is not None and not options.offers(needed):
        raise no_tier()


def shown(asked: str | None, script: Script) -> str:
    """Returns the tier that a reply shows; `fast` is shown as `priority`.

    A script's tier is used instead of the one that the request asks for: OpenAI answers in the default tier if requests
    for `priority` become frequent too fast.
    """
    if script.tier is not None:
        return script.tier
    return "priority" if asked == "fast" else asked or "auto"
