"""The lanes of single requests of the Responses API: service tiers and completion windows.

Source: OpenAI's guides flex-processing and error-codes; openai-python 3.57, types/responses/response_create_params.py.
"""

import re
from typing import Any

import openai

from threadmill.job.lanes import discount_of
from threadmill_worker.drivers.error_bodies import read_error
from threadmill_worker.lifecycle.observations import CallError, LaneClosed

#: Codes of a server that lacks capacity; nothing is charged. The second is Groq's.
_NO_CAPACITY = re.compile(r"resource.unavailable|capacity_exceeded", re.IGNORECASE)

#: Statuses of a request with a parameter or a value that the server does not accept. 422 is FastAPI's, and some
#: servers answer an unknown tier with 500.
_REFUSING = frozenset({400, 422, 500})

#: Words of a refusal that concerns a tier, or a requirement of a completion window.
_OF_TIER = re.compile("service.tier", re.IGNORECASE)
_OF_WINDOW = re.compile("service.tier|background|completion.window", re.IGNORECASE)


def fields_of(lane: str | None, continuation: str) -> dict[str, Any]:
    """Returns the fields of a request in the lane. `continuation`: an id that all requests of the job share."""
    discount = discount_of(lane)
    if discount is None:
        return {}
    if discount.completion_window is None:
        return {"service_tier": discount.service_tier}
    window = {"completion_window": discount.completion_window, "continuation_id": continuation}
    return {"service_tier": discount.service_tier, "background_options": window}


def no_background(lane: str) -> LaneClosed:
    return LaneClosed(f"the lane {lane} needs a server that works in the background, and this one does not")


def in_lane(call_error: CallError, error: Exception, lane: str | None) -> CallError:
    """Returns the error of a request in the lane: LaneClosed if the server rejects the lane itself."""
    discount = discount_of(lane)
    if discount is None or not isinstance(error, openai.APIStatusError):
        return call_error
    said = read_error(error.response.text)
    named = f"{said.code} {said.type} {said.param} {said.message}"
    reason = call_error.reason
    if error.status_code in (429, 498) and _NO_CAPACITY.search(named):
        after = getattr(call_error, "retry_after_s", None)
        return LaneClosed(f"the lane {lane} has no capacity now: {reason}", passes=True, retry_after_s=after)
    about = _OF_WINDOW if discount.completion_window and error.status_code != 500 else _OF_TIER
    if error.status_code in _REFUSING and about.search(named):
        return LaneClosed(f"the server does not accept the lane {lane}: {reason}")
    return call_error
