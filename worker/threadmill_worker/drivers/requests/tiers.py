"""Service tiers and completion windows: the fields of requests, and which refusals are about them.

Source: OpenAI's guides flex-processing, fast-mode and error-codes; openai-python 3.57,
types/responses/response_create_params.py.
"""

import re
from typing import Any

import openai

from threadmill.job.lanes import PRIORITY, in_words, tier_of, window_of
from threadmill_worker.drivers.replies.error_bodies import read_error
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
    """Returns the fields of a request in the lane or tier. `continuation`: an id that all requests of the job share."""
    tier, window = tier_of(lane), window_of(lane)
    if tier is None:
        return {}
    if window is None:
        return {"service_tier": tier}
    return {
        "service_tier": tier,
        "background_options": {"completion_window": window, "continuation_id": continuation},
    }


def no_background(lane: str) -> LaneClosed:
    return LaneClosed(f"the lane {lane} needs a server that works in the background, and this one does not")


def in_lane(call_error: CallError, error: Exception, lane: str | None) -> CallError:
    """Returns the error of a request in the lane or tier: LaneClosed if the server rejects the lane itself.

    A server without capacity for `priority` answers in its usual tier; if it refuses, it is as busy as for any request.
    """
    if lane is None or tier_of(lane) is None or not isinstance(error, openai.APIStatusError):
        return call_error
    said = read_error(error.response.text)
    named = f"{said.code} {said.type} {said.param} {said.message}"
    reason = call_error.reason
    if lane != PRIORITY and error.status_code in (429, 498) and _NO_CAPACITY.search(named):
        after = getattr(call_error, "retry_after_s", None)
        return LaneClosed(f"the lane {lane} has no capacity now: {reason}", passes=True, retry_after_s=after)
    about = _OF_WINDOW if window_of(lane) and error.status_code != 500 else _OF_TIER
    if error.status_code in _REFUSING and about.search(named):
        return LaneClosed(f"the server does not accept {in_words(lane)}: {reason}")
    return call_error
