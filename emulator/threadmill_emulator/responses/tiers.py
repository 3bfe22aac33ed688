"""The service tiers and completion windows of the Responses API.

Source: openai-python 3.57, types/responses/response_create_params.py; OpenAI's guides flex-processing and fast-mode.
"""

from collections import Counter

from threadmill_emulator.errors.api_error import unknown_parameter
from threadmill_emulator.errors.responses_api import no_capacity, no_tier, no_window
from threadmill_emulator.schemas.responses import CreateResponse
from threadmill_emulator.scripting.options import Options
from threadmill_emulator.scripting.scenarios import Script

#: The tiers that a server may lack, by their names in requests. Fast mode has two.
_OFFERED = {"flex": "flex", "priority": "priority", "fast": "priority"}


class FlexCapacity:
    """Refuses the first requests for flex processing if a script says so."""

    def __init__(self) -> None:
        self._refused: Counter[str] = Counter()

    def take(self, asked: CreateResponse, script: Script, key: str) -> None:
        """Counts one request under `key`; raises ApiError if it is refused."""
        if asked.service_tier == "flex" and self._refused[key] < script.flex_refusals:
            self._refused[key] += 1
            raise no_capacity()


def check(asked: CreateResponse, options: Options) -> None:
    needed = _OFFERED.get(asked.service_tier or "")
    if needed is not None and not options.offers(needed):
        raise no_tier()
    if asked.background_options is None:
        return
    if not options.offers("completion_windows"):
        raise unknown_parameter("background_options")
    if asked.background_options.completion_window == "soonest":
        return
    if not asked.background:
        raise no_window("it requires 'background' to be true")
    if asked.service_tier not in (None, "auto", "default"):
        raise no_window("it requires standard processing")
    if asked.stream:
        raise no_window("it cannot be used with 'stream'")


def shown(asked: CreateResponse, script: Script) -> str:
    """Returns the tier that the response shows; `fast` is shown as `priority`.

    A script's tier is used instead of the one that the request asks for: OpenAI answers in the default tier if requests
    for `priority` become frequent too fast.
    """
    if script.tier is not None:
        return script.tier
    return "priority" if asked.service_tier == "fast" else asked.service_tier or "auto"
