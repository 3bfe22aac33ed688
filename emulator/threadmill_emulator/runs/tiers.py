"""Service tiers, as the Responses API and Chat Completions know them.

Source: openai-python 3.57, types/responses/response_create_params.py; OpenAI's guide flex-processing.
"""

from collections import Counter

from threadmill_emulator.errors.responses_api import no_capacity
from threadmill_emulator.scripting.scenarios import Script


class FlexCapacity:
    """Refuses the first requests for flex processing if a script says so."""

    def __init__(self) -> None:
        self._refused: Counter[str] = Counter()

    def take(self, tier: str | None, script: Script, key: str) -> None:
        """Counts one request of this tier under `key`; raises ApiError if it is refused."""
        if tier == "flex" and self._refused[key] < script.flex_refusals:
            self._refused[key] += 1
            raise no_capacity()


def shown(asked: str | None) -> str:
    """Returns the tier that a reply shows; `fast` is shown as `priority`."""
    return "priority" if asked == "fast" else asked or "auto"
