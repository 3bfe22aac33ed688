"""Checks the service tier and the completion window of a request for a response.

Source: openai-python 3.57, types/responses/response_create_params.py; OpenAI's guides flex-processing and fast-mode.
"""

from threadmill_emulator.errors.api_error import unknown_parameter
from threadmill_emulator.errors.responses_api import no_window
from threadmill_emulator.runs.tiers import check_tier
from threadmill_emulator.schemas.responses import CreateResponse
from threadmill_emulator.scripting.options import Options


def check(asked: CreateResponse, options: Options) -> None:
    check_tier(asked.service_tier, options)
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
